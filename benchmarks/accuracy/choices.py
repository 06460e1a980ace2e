"""What settings of a recipe change, by errors on validation data.

    OMP_NUM_THREADS=1 python benchmarks/accuracy/choices.py 3bpa --data DIR -o OUT [--hours 0.15] \
        recipe optimizer=adam optimizer=adam,loss.energy=20

trains the recipe of an experiment and variants of it, one after the other: keys below `training`, as
docs/training.md has them, with other values. `--hours`: each for so long, in place of its epochs.
Curves are in OUT/VARIANT/NAME/run/logs/metrics.csv; a variant that is there is not trained again.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from families import EXPERIMENTS
from rich.console import Console
from rich.table import Table
from trial import Place, hours_of, write_configuration

from e3md.train.checkpoint import LAST
from e3md.train.report import read_metrics
from e3md.train.run import METRICS, train

RECIPE = "recipe"


def write_variant(path: Path, variant: str) -> None:
    """Change the configuration at `path`."""
    settings = yaml.safe_load(path.read_text())
    for change in [] if variant == RECIPE else variant.split(","):
        key, _, value = change.partition("=")
        *sections, name = key.split(".")
        section: dict[str, Any] = settings["training"]
        for one in sections:
            section = section.setdefault(one, {})
        section[name] = yaml.safe_load(value)
    path.write_text(yaml.safe_dump(settings, sort_keys=False))


def main(
    experiment: Annotated[str, typer.Argument(help="as results/NAME.json is called")],
    variants: Annotated[list[str], typer.Argument(help="KEY=VALUE,...; recipe: none")],
    data: Annotated[Path, typer.Option(envvar="E3MD_DATA", help="folder of the data sets")],
    output: Annotated[Path, typer.Option("-o", "--output")],
    hours: Annotated[float | None, typer.Option(min=1e-3)] = None,
) -> None:
    """Train variants of a recipe."""
    table = Table("variant", "epochs", "hours", "forces MAE", "RMSE, meV/Å", "energy MAE, meV/atom")
    for variant in variants:
        place = Place(data, output.resolve() / variant, output)
        (place.output / experiment).mkdir(parents=True, exist_ok=True)
        run = place.output / experiment / "run"
        begun = (run / LAST).is_file()
        if not begun:
            write_variant(write_configuration(EXPERIMENTS[experiment], place), variant)
        if not (run / "report").is_dir():
            train(run.parent / "config.yaml", resume=begun, hours=hours)
        curve = read_metrics(run / METRICS)
        best = curve["valid_loss"].argmin()
        errors = [
            1e3 * curve[f"valid_{name}"][best]
            for name in ("forces_mae", "forces_rmse", "energy_mae")
        ]
        epochs = f"{best + 1} of {len(curve['epoch'])}"
        table.add_row(variant, epochs, f"{hours_of(run):.2f}", *(f"{e:.2f}" for e in errors))
    Console(width=120).print(table)


if __name__ == "__main__":
    typer.run(main)
