"""Molecular dynamics in ASE and in LAMMPS: what the demo and the examples share."""
