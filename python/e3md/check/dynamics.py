"""Energy is conserved without a thermostat."""

import math

import numpy as np
from ase.md.velocitydistribution import Stationary, thermalize_momenta

from e3md.check.result import Bounds, CheckResult
from e3md.check.subject import Subject
from e3md.md.simulate import Protocol, run_ase

TEMPERATURE = 300.0  # K
WARM_UP = 0.1  # ps of NVT
LENGTH = 1.0  # ps of NVE
TIMESTEP = {True: 0.5, False: 1.0}  # fs, with and without hydrogen
DRIFT = Bounds(warn=1e-4, fail=1e-3)  # eV/atom/ps; 1e-3 heats by 4 K/ps


def drift(subject: Subject) -> CheckResult:
    """A short NVE run, in the file's precision; the default structure is only warned of."""
    timestep = TIMESTEP["H" in subject.elements()]
    protocol = Protocol(
        temperature=TEMPERATURE,
        timestep=timestep,
        nvt_steps=round(1000 * WARM_UP / timestep),
        nve_steps=round(1000 * LENGTH / timestep),
    )
    atoms = subject.atoms.copy()
    rng = np.random.default_rng(0)
    thermalize_momenta(atoms, temperature_K=TEMPERATURE, rng=rng, exact_temperature=True)
    Stationary(atoms)
    value = abs(run_ase(atoms, subject.native, protocol, lambda done: None).drift)
    figure = (
        f"eV/atom/ps, energy drift in {LENGTH:g} ps of NVE from {TEMPERATURE:g} K, "
        f"{timestep:g} fs, {subject.native.dtype}"
    )
    if subject.given:
        advice = "Relax the structure; if it stays, shorten the time step or use float64"
        return DRIFT.result("drift", value, figure, advice)
    advice = "The default structure may be far from what the model knows: give one of your own"
    return Bounds(DRIFT.warn, math.inf).result("drift", value, figure, advice)
