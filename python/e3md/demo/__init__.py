"""`e3md demo`: a small shipped potential at work in ASE and LAMMPS."""

from pathlib import Path

from e3md.demo.run import run_demo

MODEL_PATH = Path(__file__).parent / "lips.pt"
STRUCTURE_PATH = Path(__file__).parent / "lips.extxyz"

__all__ = ["MODEL_PATH", "STRUCTURE_PATH", "run_demo"]
