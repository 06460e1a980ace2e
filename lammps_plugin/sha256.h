// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once
#include <string>

/// SHA-256 of a file as 64 hexadecimal digits, as `sha256sum` prints; empty if it cannot be read.
std::string sha256_of_file(const std::string& path);
