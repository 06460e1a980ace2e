"""The `e3md` command: one function per command, each a few lines over the library."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from e3md import __version__
from e3md.commands import App, Commands, TrainCommand

app = App(
    name="e3md",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"e3md {__version__}")
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Equivariant interatomic potentials: train, export, run in ASE and LAMMPS."""


class Dtype(str, Enum):
    """Arithmetic of a network."""

    float32 = "float32"
    float64 = "float64"


ModelFile = Annotated[Path, typer.Argument(help="model file written by `e3md export`")]
EnergyKey = Annotated[str | None, typer.Option(help="name of the energies in the data")]
ForcesKey = Annotated[str | None, typer.Option(help="name of the forces in the data")]
StressKey = Annotated[str | None, typer.Option(help="name of the stresses in the data, eV/Å³")]
VirialKey = Annotated[str | None, typer.Option(help="name of the virials in the data, eV")]


@app.command(cls=TrainCommand)
def train(
    config: Annotated[
        Path | None, typer.Argument(help="YAML file, see docs/training.md; or give --data")
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="files to learn from; the rest is chosen")
    ] = None,
    valid: Annotated[
        list[Path] | None, typer.Option(help="with --data: files to choose the best weights by")
    ] = None,
    test: Annotated[
        list[Path] | None, typer.Option(help="with --data: files for the final error table")
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="with --data: folder of the run")
    ] = Path("run"),
    energy_key: EnergyKey = None,
    forces_key: ForcesKey = None,
    stress_key: StressKey = None,
    virial_key: VirialKey = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on after an interruption")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="with --data: a small model, a first look in 5 minutes")
    ] = False,
    hours: Annotated[
        float | None,
        typer.Option(
            help="wall time of the run, in place of epochs; with --resume of all its parts"
        ),
    ] = None,
) -> None:
    """Train a potential and write a report."""
    from e3md.data.read import DataKeys
    from e3md.train.config import DataConfig
    from e3md.train.run import train as run
    from e3md.train.run import train_data

    yaml_files = [path for path in data or [] if path.suffix in (".yaml", ".yml")]
    if (config is None) == (not data) or yaml_files:
        raise ValueError("give either a configuration file or --data FILES")
    if config and (valid or test):
        raise ValueError("--valid and --test go with --data: set data.valid and data.test instead")
    if config and quick:
        raise ValueError("--quick goes with --data: in a configuration, set a small model yourself")
    if hours is not None and not 0 < hours <= 1e5:
        raise ValueError(f"--hours: {hours:g}, expected more than 0 and at most 100,000")
    if quick and hours:
        raise ValueError("--quick takes five minutes: leave out --hours, or --quick")
    if config:
        run(config, resume=resume, hours=hours)
    else:
        keys = DataKeys(energy=energy_key, forces=forces_key, stress=stress_key, virial=virial_key)
        files = DataConfig(train=data or [], valid=valid or [], test=test or [], keys=keys)
        train_data(files.absolute(Path()), output, resume, quick, hours)


@app.command()
def export(
    run_dir: Annotated[Path, typer.Argument(help="folder of a training run")],
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("model.pt"),
    exact: Annotated[
        bool, typer.Option("--exact", help="evaluate radial networks, do not tabulate them")
    ] = False,
) -> None:
    """Write the best weights of a training run as a model file for ASE and LAMMPS."""
    from e3md.export import export_run

    with Console(stderr=True).status("tabulating the radial networks and measuring their error"):
        remark = export_run(run_dir, output, exact)
    typer.echo(remark)
    typer.echo(f"wrote {output}")


@app.command()
def report(
    run_dir: Annotated[Path, typer.Argument(help="folder of a training run")],
) -> None:
    """Build the page of a training run anew, also of one that was stopped."""
    from e3md.report.run import report_run

    with Console(stderr=True).status("evaluating the run's data"):
        page = report_run(run_dir)
    typer.echo(f"wrote {page}")


@app.command()
def compare(
    run_dirs: Annotated[list[Path], typer.Argument(help="folders of training runs")],
) -> None:
    """Put training runs side by side: settings that differ, errors, hours."""
    from e3md.report.compare import compare_runs

    compare_runs(run_dirs, Console())


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="model of another program, see docs/convert.md")],
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("model.pt"),
    head: Annotated[str | None, typer.Option(help="which head of a model with several")] = None,
    dtype: Annotated[
        Dtype | None, typer.Option(help="of the written model; the source's if not given")
    ] = None,
    python: Annotated[
        Path | None, typer.Option(help="interpreter of an environment with the other program")
    ] = None,
    trust_source: Annotated[
        bool, typer.Option("--trust-source", help="allow pickles and TorchScript, whose code runs")
    ] = False,
) -> None:
    """Convert a MACE, NequIP, SevenNet, Nequix, SchNetPack or matgl model, weight for weight."""
    from e3md.convert import convert as run

    run(source, output, head, dtype.value if dtype else None, python, trust_source)


@app.command()
def info(
    model: ModelFile,
    json: Annotated[bool, typer.Option("--json", help="print e3md.json as it is")] = False,
) -> None:
    """Show what a model file says of itself."""
    from e3md.info import print_info

    print_info(model, json)


@app.command()
def evaluate(
    model: ModelFile,
    data: Annotated[
        list[Path], typer.Argument(help="files with reference labels, of any format ASE reads")
    ],
    json: Annotated[Path | None, typer.Option(help="write the errors to this file")] = None,
    plots: Annotated[Path | None, typer.Option(help="write parity plots to this folder")] = None,
    report: Annotated[
        Path | None, typer.Option(help="write a page with everything to this file, such as e.html")
    ] = None,
    energy_key: EnergyKey = None,
    forces_key: ForcesKey = None,
    stress_key: StressKey = None,
    virial_key: VirialKey = None,
) -> None:
    """Compare a model with reference data."""
    from e3md.accuracy.evaluate import evaluate as run
    from e3md.data.read import DataKeys

    keys = DataKeys(energy=energy_key, forces=forces_key, stress=stress_key, virial=virial_key)
    run(model, data, json_path=json, plots_dir=plots, keys=keys, report=report)


@app.command()
def verify(
    model: ModelFile,
    structure: Annotated[Path, typer.Argument(help="structure file that ASE reads")],
) -> None:
    """Check on this machine that ASE and LAMMPS (1, 2, 4 ranks) give the same numbers."""
    from e3md.lammps.verify import verify_and_print

    raise typer.Exit(0 if verify_and_print(model, structure) else 1)


@app.command()
def check(
    model: ModelFile,
    structure: Annotated[
        Path | None, typer.Argument(help="structure file that ASE reads; default: a crystal")
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="picture of the pair curves")
    ] = Path("check.png"),
    json: Annotated[Path | None, typer.Option(help="write the results to this file")] = None,
) -> None:
    """Health report of a model before production runs; exit status 1 if a check fails."""
    from e3md.check import check_and_print

    raise typer.Exit(0 if check_and_print(model, structure, output, json) else 1)


@app.command()
def bench(
    model: ModelFile,
    structure: Annotated[
        Path | None, typer.Argument(help="structure file that ASE reads; default: a crystal")
    ] = None,
    dtype: Annotated[Dtype | None, typer.Option(help="default: the file's")] = None,
) -> None:
    """Time per step of a model on this machine, in ASE and in LAMMPS."""
    from e3md.bench import bench_and_print

    bench_and_print(model, structure, dtype.value if dtype else None)


@app.command()
def analyze(
    trajectory: Annotated[
        list[Path],
        typer.Argument(help="LAMMPS dump, ASE .traj or extxyz; several files of one run in order"),
    ],
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("analysis"),
    frame_fs: Annotated[
        float | None, typer.Option(help="fs between frames, for files that do not record time")
    ] = None,
    species: Annotated[
        str | None, typer.Option(help="elements of the LAMMPS types, as in 'Li P S'")
    ] = None,
    skip: Annotated[float, typer.Option(help="ps to leave out at the start")] = 0.0,
    keep_drift: Annotated[
        bool, typer.Option("--keep-drift", help="do not measure from the center of mass")
    ] = False,
) -> None:
    """g(r), bond angles, mean square displacement and diffusion from a trajectory."""
    from e3md.analysis import AnalysisOptions, read_trajectory
    from e3md.analysis import analyze as run

    types = species.split() if species else None
    options = AnalysisOptions(skip=skip, remove_drift=not keep_drift)
    run(read_trajectory(trajectory, frame_fs, types), output, options)


@app.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
def lmp(
    arguments: Annotated[
        list[str] | None, typer.Argument(help="as for LAMMPS' own lmp, e.g. -in in.lammps")
    ] = None,
) -> None:
    """Run LAMMPS with pair_style e3nn, every path set; arguments go to lmp.

    LAMMPS' own help: e3md lmp -h. On several ranks: mpiexec -n 4 e3md lmp -in in.lammps
    """
    from e3md.lammps import run_lmp

    raise typer.Exit(run_lmp(arguments or []))


@app.command()
def doctor() -> None:
    """Show versions, processor, MPI, GPU and paths, for a bug report; status 1 if a part is broken."""
    from e3md.doctor import examine_and_print

    raise typer.Exit(0 if examine_and_print() else 1)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output")] = Path("e3md-demo"),
    model_path: Annotated[
        bool, typer.Option("--model-path", help="print where the shipped potential lies")
    ] = False,
) -> None:
    """Run the shipped lithium-conductor potential in ASE and LAMMPS and draw what comes out."""
    from e3md.demo import MODEL_PATH, run_demo

    if model_path:
        typer.echo(MODEL_PATH)
    else:
        run_demo(output)
