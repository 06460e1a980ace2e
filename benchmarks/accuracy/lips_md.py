"""300 ps of Li6.75P3S11 with a trained model: stable? lithium MSD and g(r) beside ab initio MD.

    python benchmarks/accuracy/lips_md.py MODEL --data DIR -o OUT [--length 300] [--ranks 2]

Goes on where it stopped. The record goes to results/md/lips.json, pictures to docs/pictures/.
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

from e3md.analysis import diffusion_coefficient, mean_square_displacement, radial_distribution
from e3md.analysis.plots import plot_msd, plot_rdf
from e3md.data.read import read_structures


def main(
    model: Path,
    data: Data,
    output: Output,
    length: Length = 300.0,
    equilibration: Equilibration = 5.0,
    temperature: Temperature = 520.0,
    interval: Interval = 50,
    ranks: Ranks = 1,
    results: Results = RESULTS / "md",
    pictures: Pictures = PICTURES,
) -> None:
    """NVT at the temperature at which the NequIP paper gives lithium's diffusion."""
    atoms = read_structures(data / "lips" / "test.xyz.xz")[0]
    plan = Plan(temperature, length, equilibration=equilibration, interval=interval, ranks=ranks)
    trajectory = simulate(atoms, model, plan, output)
    reference = read_reference(data / "lips" / "rdf_aimd.csv")
    rdf = radial_distribution(trajectory, *bins(reference))
    lithium = diffusion_coefficient(trajectory, "Li")
    pictures.mkdir(parents=True, exist_ok=True)
    plot_rdf({"ab initio": reference, "e3md": rdf}, pictures / "accuracy_lips_rdf.png")
    msd = mean_square_displacement(trajectory)
    plot_msd({"e3md": msd}, pictures / "accuracy_lips_msd.png", diffusions=[lithium])
    record = describe_run(
        "Li₆.₇₅P₃S₁₁, 83 atoms", model, plan, output, len(atoms), rdf, reference
    ).model_copy(
        update={
            "diffusion": {"Li": (lithium.coefficient, lithium.error)},
            "remark": f"Window of the fit: {lithium.window[0]:g} to {lithium.window[1]:g} ps"
            f"{f' ({lithium.warning})' if lithium.warning else ''}. Ab initio at 520 K: D(Li) = "
            "1.37e-05 cm²/s (NequIP paper; data/lips/README [M]).",
        }
    )
    write_md_record(record, results / "lips.json")
    print(record.sentence())


if __name__ == "__main__":
    typer.run(main)
