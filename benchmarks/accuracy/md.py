"""MD with a trained model beside ab initio curves: stable? g(r), and lithium's MSD.

    python benchmarks/accuracy/md.py lips MODEL --data DIR -o OUT [--length 300] [--ranks 2]
    python benchmarks/accuracy/md.py water MODEL --data DIR -o OUT [--length 50] [--ranks 2]

Goes on where it stopped. The record goes to results/md/SYSTEM.json, pictures to docs/pictures/.
"""

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from md_runs import PICTURES, Plan, bins, describe_run, read_reference, simulate, write_md_record
from records import RESULTS

from e3md.analysis import (
    Trajectory,
    diffusion_coefficient,
    mean_square_displacement,
    radial_distribution,
)
from e3md.analysis.diffusion import Diffusion
from e3md.analysis.plots import plot_msd, plot_rdf
from e3md.data.read import read_structures


class Name(str, Enum):
    """Systems with an ab initio curve."""

    lips = "lips"
    water = "water"


@dataclass(frozen=True)
class System:
    """What is run: NVT with classical nuclei."""

    title: str
    folder: str  # of the data
    plan: Plan
    remark: str
    diffusing: str | None = None


SYSTEMS = {
    Name.lips: System(
        "Li₆.₇₅P₃S₁₁, 83 atoms",
        "lips",
        Plan(temperature=520.0, length=300.0),  # where the NequIP paper gives lithium's diffusion
        "Ab initio at 520 K: D(Li) = 1.37e-05 cm²/s (NequIP paper; data/lips/README [M]).",
        diffusing="Li",
    ),
    Name.water: System(
        "Water, 64 molecules",
        "water_pbe0ts",
        Plan(temperature=330.0, length=50.0, timestep=0.5, interval=40),
        "The data do not say their temperature: 330 K is that of the classical PBE0+TS trajectory of "
        "the source [M].",
    ),
}


def main(
    name: Annotated[Name, typer.Argument(metavar="SYSTEM")],
    model: Path,
    data: Annotated[Path, typer.Option(envvar="E3MD_DATA", help="folder of the data sets")],
    output: Annotated[Path, typer.Option("-o", "--output", help="folder of the run")],
    length: Annotated[float | None, typer.Option(help="ps, after equilibration")] = None,
    equilibration: Annotated[float | None, typer.Option(help="ps")] = None,
    interval: Annotated[int | None, typer.Option(help="steps between frames")] = None,
    ranks: Annotated[int, typer.Option(min=1)] = 1,
    results: Annotated[Path, typer.Option(help="folder of the JSON file")] = RESULTS / "md",
    pictures: Annotated[Path, typer.Option()] = PICTURES,
) -> None:
    """Run, compare, draw, record."""
    system = SYSTEMS[name]
    given = {"length": length, "equilibration": equilibration, "interval": interval}
    changes = {key: value for key, value in given.items() if value is not None}
    plan = replace(system.plan, ranks=ranks, **changes)
    atoms = read_structures(data / system.folder / "test.xyz.xz")[0]
    trajectory = simulate(atoms, model, plan, output)
    reference = read_reference(data / system.folder / "rdf_aimd.csv")
    rdf = radial_distribution(trajectory, *bins(reference))
    pictures.mkdir(parents=True, exist_ok=True)
    plot_rdf({"ab initio": reference, "e3md": rdf}, pictures / f"accuracy_{name.value}_rdf.png")
    record = describe_run(system.title, model, plan, output, len(atoms), rdf, reference)
    update: dict[str, object] = {"remark": system.remark}
    if system.diffusing:
        found = draw_diffusion(
            trajectory, system.diffusing, pictures / f"accuracy_{name.value}_msd.png"
        )
        update = {"remark": f"{_window(found)} {system.remark}"}
        if found.coefficient is not None:
            update["diffusion"] = {system.diffusing: (found.coefficient, found.half_width)}
    record = record.model_copy(update=update)
    write_md_record(record, results / f"{name.value}.json")
    print(record.sentence())


def draw_diffusion(trajectory: Trajectory, element: str, path: Path) -> Diffusion:
    """The MSD as a picture; the diffusion coefficient of one element."""
    found = diffusion_coefficient(trajectory, element)
    plot_msd({"e3md": mean_square_displacement(trajectory)}, path, diffusions=[found])
    return found


def _window(found: Diffusion) -> str:
    if found.window is None or found.coefficient is None:
        return f"D({found.species}): {found.reason}."
    return f"95 % interval; window of the fit: {found.window[0]:g} to {found.window[1]:g} ps."


if __name__ == "__main__":
    typer.run(main)
