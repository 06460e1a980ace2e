// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include "e3md/potential.h"

/// First evaluations are slow: done here, on a small chain of all the model's species. A model that
/// fails on the chain says so at step 0, and names atoms that the user knows.
/// Returns the seconds it took.
double warm_up(const e3md::Potential& potential);
