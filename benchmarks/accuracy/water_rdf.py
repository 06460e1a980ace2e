"""50 ps of liquid water with a trained model: g(r) beside ab initio MD.

    python benchmarks/accuracy/water_rdf.py MODEL --data DIR -o OUT [--length 50] [--ranks 2]

Goes on where it stopped. The record goes to results/md/water.json, the picture to docs/pictures/.
"""

from pathlib import Path

import typer
from md_runs import (
    PICTURES,
    Data,
    Equilibration,
    Interval,
    Length,
    Output,
    Pictures,
    Plan,
    Ranks,
    Results,
    Temperature,
    bins,
    describe_run,
    read_reference,
    simulate,
    write_md_record,
)
from records import RESULTS

from e3md.analysis import radial_distribution
from e3md.analysis.plots import plot_rdf
from e3md.data.read import read_structures


def main(
    model: Path,
    data: Data,
    output: Output,
    length: Length = 50.0,
    equilibration: Equilibration = 5.0,
    temperature: Temperature = 330.0,
    interval: Interval = 40,
    ranks: Ranks = 1,
    results: Results = RESULTS / "md",
    pictures: Pictures = PICTURES,
) -> None:
    """NVT with classical nuclei, 0.5 fs a step."""
    atoms = read_structures(data / "water_pbe0ts" / "test.xyz.xz")[0]
    plan = Plan(
        temperature, length, timestep=0.5, equilibration=equilibration, interval=interval,
        ranks=ranks,
    )  # fmt: skip
    trajectory = simulate(atoms, model, plan, output)
    reference = read_reference(data / "water_pbe0ts" / "rdf_aimd.csv")
    rdf = radial_distribution(trajectory, *bins(reference))
    pictures.mkdir(parents=True, exist_ok=True)
    plot_rdf({"ab initio": reference, "e3md": rdf}, pictures / "accuracy_water_rdf.png")
    record = describe_run(
        "Water, 64 molecules", model, plan, output, len(atoms), rdf, reference
    ).model_copy(
        update={
            "remark": "The data do not say their temperature: 330 K is that of the classical "
            "PBE0+TS trajectory of the source [M]."
        }
    )
    write_md_record(record, results / "water.json")
    print(record.sentence())


if __name__ == "__main__":
    typer.run(main)
