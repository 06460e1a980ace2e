"""A model file against reference data."""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from e3md.calculator import E3Calculator
from e3md.calibration import collect_deviations
from e3md.data.read import DataError, DataKeys, Frame, read_frames
from e3md.errors import Compared, Errors, collect_errors, error_rows


def evaluate(
    model: str | Path,
    data: str | Path,
    json_path: Path | None = None,
    plots_dir: Path | None = None,
    keys: DataKeys | None = None,
    dtype: str | None = None,
) -> Errors:
    """Evaluate every frame of an extxyz file, print a table, optionally write JSON and plots.

    dtype: "float32" or "float64", arithmetic of the network; default: the file's.

    Raises:
        ValueError: for a file that is no e3md model.
        DataError: for frames without energy or forces, or that the model cannot evaluate.
    """
    calculator, console = E3Calculator(model, dtype=dtype), Console()
    remarks: list[str] = []
    frames = read_frames([Path(data)], keys or DataKeys(), remarks)
    for line in remarks:
        console.print(f"[yellow]note:[/] {line}", soft_wrap=True)
    watched = track(frames, "evaluating", transient=True, disable=not console.is_terminal)
    compared = [_compare(calculator, frame) for frame in watched]
    errors = collect_errors(compared)
    table = Table("quantity", "unit", "MAE", "RMSE", title=f"{model} on {data}")
    for row in error_rows(errors):
        table.add_row(*row)
    console.print(table)
    if json_path:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(errors.model_dump_json(indent=2) + "\n")
    if plots_dir:
        from e3md.plots import calibration_plot, parity_plots

        pictures = parity_plots(compared, errors, plots_dir)
        if calculator.members > 1:
            found = collect_deviations(compared)
            pictures.append(calibration_plot(compared, found, plots_dir / "calibration.png"))
        for picture in pictures:
            console.print(f"wrote {picture}", soft_wrap=True)
    return errors


def _compare(calculator: E3Calculator, frame: Frame) -> Compared:
    atoms = frame.atoms.copy()
    atoms.calc = calculator
    try:
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    except ValueError as error:
        raise DataError(f"{frame.label}: {error}") from error
    stress = None
    if frame.stress is not None:
        stress = (np.asarray(atoms.get_stress(voigt=False)), frame.stress)
    return Compared(
        symbols=list(atoms.symbols),
        energy=(energy, frame.energy),
        forces=(forces, frame.forces),
        stress=stress,
        deviation=(calculator.results["energy_std"], calculator.results["forces_std"])
        if calculator.members > 1
        else None,
    )
