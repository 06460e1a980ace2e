"""A model file against reference data."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from e3md.accuracy.calibration import collect_deviations
from e3md.accuracy.errors import Compared, Errors, collect_errors, error_rows
from e3md.calculator import E3Calculator
from e3md.data.problems import DataError, as_options, hints_as_options
from e3md.data.read import DataKeys, Frame, read_frames
from e3md.data.sources import expand_globs, short_names
from e3md.files import write_text
from e3md.label_slopes import label_remarks


class FileErrors(Errors):
    """Errors of all files together, and of each."""

    files: dict[str, Errors]


def evaluate(
    model: str | Path,
    data: str | Path | Sequence[str | Path],
    json_path: Path | None = None,
    plots_dir: Path | None = None,
    keys: DataKeys | None = None,
    dtype: str | None = None,
    report: Path | None = None,
) -> Errors:
    """Evaluate every frame of one or several files, print tables, optionally write JSON and plots.

    Frames may have energies or forces alone. With several files there is a table for each and one
    for all, which is what is returned and drawn. Labels that are predictions but for a factor or an
    offset, which is a unit, a sign or a reference and no error of the model, get a line.

    report: HTML file for a page with tables, plots and the worst frames.
    dtype: "float32" or "float64", arithmetic of the network; default: the file's.

    Raises:
        ValueError: for a file that is no e3md model.
        DataError: for frames without labels, or that the model cannot evaluate.
    """
    calculator, console = E3Calculator(model, dtype=dtype), Console()
    given = [data] if isinstance(data, str | Path) else data
    names = short_names(list(dict.fromkeys(expand_globs([Path(path) for path in given]))))
    remarks: list[str] = []
    with hints_as_options():
        frames = read_frames(list(names), keys or DataKeys(), remarks, partial=True)
    for line in remarks:
        console.print(f"[yellow]note:[/] {escape(as_options(line))}", soft_wrap=True)
    watched = track(frames, "evaluating", transient=True, disable=not console.is_terminal)
    compared = [_compare(calculator, frame) for frame in watched]
    errors = _collect(frames, compared, names)
    _print(errors, model, names.values(), console)
    for line in label_remarks(compared):
        console.print(f"[yellow]warning:[/] {escape(line)}", soft_wrap=True)
    if json_path:
        write_text(json_path, errors.model_dump_json(indent=2) + "\n")
    for picture in _draw(compared, errors, plots_dir) if plots_dir else []:
        console.print(f"wrote {picture}", soft_wrap=True, markup=False)
    if report:
        from e3md.report.evaluation import write_evaluation_page

        write_evaluation_page(Path(model), names, frames, compared, report)
        console.print(f"wrote {report}", soft_wrap=True, markup=False)
    return errors


def _collect(
    frames: Sequence[Frame], compared: Sequence[Compared], names: dict[Path, str]
) -> Errors:
    errors = collect_errors(compared)
    if len(names) == 1:
        return errors
    files = {}
    for path, name in names.items():
        own = [found for frame, found in zip(frames, compared, strict=True) if frame.file == path]
        if own:
            files[name] = collect_errors(own)
    return FileErrors(**vars(errors), files=files)


def _print(errors: Errors, model: str | Path, names: Iterable[str], console: Console) -> None:
    tables = dict(errors.files) if isinstance(errors, FileErrors) else {}
    title = f"{len(tables)} files" if tables else ", ".join(names)
    for what, found in {**tables, title: errors}.items():
        table = Table("quantity", "unit", "MAE", "RMSE", title=escape(f"{model} on {what}"))
        for row in error_rows(found):
            table.add_row(*row)
        console.print(table)


def _draw(compared: Sequence[Compared], errors: Errors, folder: Path) -> list[Path]:
    """Pictures of what there is; those of deviations, for a committee, need an energy or force."""
    from e3md.accuracy.plots import calibration_plot, parity_plots

    pictures = parity_plots(compared, errors, folder)
    if compared[0].deviation is not None:
        found = collect_deviations(compared)
        if found.forces or found.energy_per_atom:
            pictures.append(calibration_plot(compared, found, folder / "calibration.png"))
    return pictures


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
