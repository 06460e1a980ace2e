"""Converted models give the numbers of the program they come from, or are refused.

tests/data/neutral holds random-weight models of other programs in neutral form, with the energies,
forces and stresses those programs computed (benchmarks/parity/fixture.py writes them).
"""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
import yaml

from conftest import ROOT
from e3md import E3Calculator
from e3md.convert import ConversionError, Neutral, build, convert
from e3md.convert.check import compare
from e3md.convert.extract import neutral_file
from e3md.convert.learned import doubtful_elements
from e3md.convert.peer import Reference, references
from e3md.convert.sources import SOURCES, Source
from e3md.export import save_model
from e3md.lammps.runner import LammpsCase, LammpsResult, run_lammps
from e3md.model_file import TrainingRecord
from e3md.structures import perturbed_structures
from e3md.train.report import read_metrics
from e3md.train.run import METRICS, train
from test_plan import assert_alike
from training_data import labelled_frames, write_run

FIXTURES = sorted((ROOT / "tests" / "data" / "neutral").glob("*.safetensors"))
each_fixture = pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)


def read_fixture(path: Path) -> tuple[Neutral, str, list[Reference]]:
    header, arrays = neutral_file.read(path)
    parts: dict[str, dict[str, np.ndarray]] = {"weights": {}, "references": {}}
    for name, array in arrays.items():
        part, _, key = name.partition("/")
        parts[part][key] = array
    weights = {name: torch.from_numpy(array) for name, array in parts["weights"].items()}
    about = (header["source"], header["version"], header["dtype"], header["hyperparameters"])
    return Neutral(*about, weights), header["tolerance"], references(parts["references"])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every fixture as a model file in float64."""
    folder, written = tmp_path_factory.mktemp("converted"), {}
    for path in FIXTURES:
        found = build(read_fixture(path)[0])
        written[path.stem] = folder / f"{path.stem}.pt"
        record = TrainingRecord()
        save_model(found.model, found.config, found.statistics, record, written[path.stem])
    return written


@each_fixture
def test_numbers_are_those_of_the_program(fixture: Path, models: dict[str, Path]) -> None:
    _, dtype, given = read_fixture(fixture)
    assert len(given) == 10
    difference = compare(models[fixture.stem], given, "the program")
    assert difference.largest_force > 1e-3
    assert difference.within(dtype), difference


@each_fixture
def test_a_plan_gives_what_torchscript_gives(fixture: Path, models: dict[str, Path]) -> None:
    assert_alike(models[fixture.stem], [one.atoms for one in read_fixture(fixture)[2]])


@pytest.fixture(scope="module")
def by_lammps(
    models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[int, LammpsCase, LammpsResult]]:
    """Number of ranks, what LAMMPS was given, what it found, of all models: two starts in all."""
    cases = []
    for path in FIXTURES:
        given = [reference.atoms for reference in read_fixture(path)[2]]
        # few atoms leave ranks without any
        chosen = (min(given, key=len), max(given, key=len), given[3].repeat(2))
        cases += [LammpsCase(atoms, models[path.stem]) for atoms in chosen]
    folder = tmp_path_factory.mktemp("lammps")
    return [
        (n_ranks, *pair)
        for n_ranks in (1, 4)
        for pair in zip(cases, run_lammps(cases, n_ranks, folder), strict=True)
    ]


@each_fixture
def test_lammps_on_any_number_of_ranks_equals_ase(
    fixture: Path, models: dict[str, Path], by_lammps: list[tuple[int, LammpsCase, LammpsResult]]
) -> None:
    calculator = E3Calculator(str(models[fixture.stem]))
    mine = [found for found in by_lammps if found[1].model == models[fixture.stem]]
    assert [n_ranks for n_ranks, *_ in mine] == [1, 1, 1, 4, 4, 4]
    for _, case, found in mine:
        atoms = case.atoms.copy()
        atoms.calc = calculator
        assert found.energy == pytest.approx(atoms.get_potential_energy(), rel=1e-10)
        np.testing.assert_allclose(found.forces, atoms.get_forces(), atol=1e-9, rtol=0)


@each_fixture
def test_models_are_compact(fixture: Path, models: dict[str, Path]) -> None:
    neutral, *_ = read_fixture(fixture)
    stored = sum(w.numel() * w.element_size() for w in neutral.weights.values())
    assert models[fixture.stem].stat().st_size < 2 * stored + 400_000  # code of the archive


@each_fixture
def test_an_unknown_option_is_named(fixture: Path) -> None:
    neutral, *_ = read_fixture(fixture)
    neutral.hyperparameters = {**neutral.hyperparameters, "new_trick": 3}
    with pytest.raises(ConversionError, match="new_trick = 3"):
        build(neutral)


@each_fixture
def test_a_weight_that_has_no_place_is_named(fixture: Path) -> None:
    neutral, *_ = read_fixture(fixture)
    neutral.weights["extra.bias"] = torch.zeros(3)
    with pytest.raises(ConversionError, match=r"leave out: extra\.bias"):
        build(neutral)


@each_fixture
def test_a_converted_model_can_be_fine_tuned(
    fixture: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    path = write_run(tmp_path, max_epochs=4, learning_rate=1e-3, dtype="float64")
    species = E3Calculator(str(models[fixture.stem])).species[:2]
    frames = labelled_frames(8)
    for atoms in frames:
        atoms.symbols = [species[symbol == "Kr"] for symbol in atoms.symbols]
        atoms.calc.atoms = atoms.copy()
    ase.io.write(tmp_path / "train.xyz", frames, format="extxyz")
    settings = yaml.safe_load(path.read_text())
    del settings["model"]
    settings["data"]["test"] = []
    settings["init_from"] = str(models[fixture.stem])
    path.write_text(yaml.safe_dump(settings))
    losses = read_metrics(train(path) / METRICS)["train_loss"]
    assert losses[-1] < losses[0]


ECHO = """
import json, sys
sys.path.insert(0, {folder!r})
from neutral_file import main, read, Unsupported
def extract(path, head):
    header, arrays = read(path)
    if head == "wrong":
        raise Unsupported("head 'wrong'")
    return header, {{k[8:]: v for k, v in arrays.items() if k.startswith("weights/")}}
def evaluate(path, head, structures):
    header, arrays = read(path)
    found = {{k[11:]: v for k, v in arrays.items() if k.startswith("references/")}}
    found["2.forces"] = found["2.forces"] + {error}
    return header["dtype"], found
main(extract, evaluate)
"""


@pytest.fixture
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A stand-in for the program: a script that hands out a fixture."""

    def install(error: float) -> Path:
        script = tmp_path / "echo.py"
        folder = Path(neutral_file.__file__).parent
        script.write_text(ECHO.format(folder=str(folder), error=error))
        monkeypatch.setattr(Source, "script", property(lambda _: script))
        monkeypatch.setattr("e3md.convert.detect", lambda _: SOURCES["mace"])
        return next(path for path in FIXTURES if path.stem.startswith("mace_small"))

    return install


def test_convert_writes_what_agrees(echo, tmp_path: Path, capsys) -> None:
    difference = convert(echo(0.0), tmp_path / "m.pt", dtype="float32", trust_source=True)
    assert difference.forces < 1e-9
    assert E3Calculator(str(tmp_path / "m.pt")).dtype == "float32"
    assert "largest difference from mace-torch on 10 structures" in capsys.readouterr().out


def test_convert_refuses_what_disagrees(echo, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="differs from mace-torch"):
        convert(echo(1e-6), tmp_path / "m.pt", trust_source=True)
    assert not (tmp_path / "m.pt").exists()


def test_what_the_script_says_reaches_the_user(echo, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="no counterpart of head 'wrong'"):
        convert(echo(0.0), tmp_path / "m.pt", head="wrong", trust_source=True)


def test_pickles_need_trust(echo, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="--trust-source"):
        convert(echo(0.0), tmp_path / "m.pt")


def test_an_interpreter_without_the_program_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.model").write_bytes(b"")
    monkeypatch.setattr("e3md.convert.detect", lambda _: SOURCES["mace"])
    with pytest.raises(ConversionError, match="environment that has mace-torch with --python"):
        convert(tmp_path / "x.model", tmp_path / "m.pt", trust_source=True)


@pytest.mark.parametrize("name", ["energy", "forces", "stress"])
def test_a_program_that_gives_nan_is_named(models: dict[str, Path], name: str) -> None:
    given = read_fixture(FIXTURES[0])[2]
    k = next(k for k, reference in enumerate(given) if reference.stress is not None)
    given[k] = dataclasses.replace(given[k], **{name: getattr(given[k], name) * np.nan})
    with pytest.raises(ConversionError, match=f"mace-torch itself gives {name}.*structure {k}"):
        compare(models[FIXTURES[0].stem], given, "mace-torch")


def test_a_weight_that_is_nan_is_named() -> None:
    neutral, *_ = read_fixture(FIXTURES[0])
    name = next(name for name, weight in neutral.weights.items() if weight.is_floating_point())
    neutral.weights[name] = neutral.weights[name] * float("nan")
    with pytest.raises(ConversionError, match=f"weight '{name}'.* not finite"):
        build(neutral)


def test_a_model_that_is_a_constant_is_refused(echo, tmp_path: Path) -> None:
    """As matgl's SO3Net of one element, whose embedding is zero and stays so."""
    path = echo(0.0)
    header, arrays = neutral_file.read(path)
    for name in arrays:
        quiet = name.startswith("weights/") and ("readout" in name or name.endswith("embedding"))
        if quiet or name.endswith((".forces", ".stress")):
            arrays[name] = np.zeros_like(arrays[name])
    energies = _energies_of_atoms(header, arrays)
    arrays |= {f"references/{k}.energy": np.array(e) for k, e in enumerate(energies)}
    neutral_file.write(tmp_path / "constant", header, arrays)
    with pytest.raises(
        ConversionError, match="all forces of this model are zero, in mace-torch too"
    ):
        convert(tmp_path / "constant", tmp_path / "m.pt", trust_source=True)
    assert not (tmp_path / "m.pt").exists()


def _energies_of_atoms(header: dict, arrays: dict[str, np.ndarray]) -> list[float]:
    weights = {k[8:]: torch.from_numpy(v) for k, v in arrays.items() if k.startswith("weights/")}
    about = (header["source"], header["version"], header["dtype"], header["hyperparameters"])
    found = build(Neutral(*about, weights))
    references_ = {k[11:]: v for k, v in arrays.items() if k.startswith("references/")}
    e0s = dict(zip(found.statistics.species, found.statistics.e0s, strict=True))
    shift = found.statistics.shift
    return [
        sum(e0s[s] + shift for s in atoms.symbols)
        for atoms in neutral_file.unpack_structures(references_)
    ]


def test_elements_that_were_never_learned_are_named(models: dict[str, Path]) -> None:
    stem = "matgl_default"
    statistics = build(read_fixture(next(f for f in FIXTURES if f.stem == stem))[0]).statistics
    assert doubtful_elements(models[stem], statistics) == []
    without = dataclasses.replace(statistics, e0s=(0.0, *statistics.e0s[1:]))
    (doubt,) = doubtful_elements(models[stem], without)
    assert f"have a reference energy and {statistics.species[0]} none" in doubt


def test_an_element_without_forces_is_named(tmp_path: Path) -> None:
    neutral, *_ = read_fixture(next(f for f in FIXTURES if f.stem == "matgl_default"))
    neutral.weights["embedding"] = neutral.weights["embedding"].clone()
    neutral.weights["embedding"][0] = 0.0
    found = build(neutral)
    path = tmp_path / "m.pt"
    save_model(found.model, found.config, found.statistics, TrainingRecord(), path, exact=True)
    (doubt,) = doubtful_elements(path, found.statistics)
    assert doubt.startswith(f"atoms of {found.statistics.species[0]} exert no force")


@pytest.mark.parametrize("output", [".", "nowhere/m.pt"])
def test_an_output_that_cannot_be_written_is_said_first(echo, tmp_path: Path, output: str) -> None:
    with pytest.raises(ConversionError, match="cannot be written"):
        convert(echo(0.0), tmp_path / output, trust_source=True)


@pytest.mark.parametrize("source", SOURCES.values(), ids=lambda source: source.name)
def test_all_that_runs_code_needs_trust(source: Source) -> None:
    """Pickles and TorchScript do when they are read; JSON and numpy arrays do not."""
    assert source.runs_code == (source.name != "nequix")


NEQUIX = {
    "cutoff": 5.0, "hidden_irreps": "8x0e", "lmax": 1, "n_layers": 1, "radial_basis_size": 4,
    "radial_mlp_size": 4, "radial_mlp_layers": 1, "radial_polynomial_p": 6.0,
    "index_weights": False, "layer_norm": True, "scale": 1.0, "shift": 0.0,
    "avg_n_neighbors": 9.0, "atomic_numbers": [1, 8],
}  # fmt: skip


def extract_nequix(folder: Path, **keys: object) -> subprocess.CompletedProcess[str]:
    (folder / "x.nqx").write_text(json.dumps({**NEQUIX, **keys}) + "\n")
    script, files = SOURCES["nequix"].script, [str(folder / "x.nqx"), str(folder / "out")]
    command = [sys.executable, str(script), "extract", *files]
    return subprocess.run(command, capture_output=True, text=True)


def test_nequix_keys_of_a_run_are_passed_over(tmp_path: Path) -> None:
    keys = {
        "kernel": True, "wandb_run_id": "3k2", "run_id": 7, "seed": 0, "data_seed": 1,
        "log_every": 3, "ema_decay": 0.99, "some_path": "/x", "hessian_weight": 1.0, "notes": "",
    }  # fmt: skip
    assert extract_nequix(tmp_path, **keys).returncode == 0
    assert neutral_file.read(tmp_path / "out")[0]["hyperparameters"]["cutoff"] == 5.0


@pytest.mark.parametrize("key", ["activation", "zbl", "attention", "n_heads", "spin_embedding"])
def test_nequix_keys_of_the_function_are_refused(tmp_path: Path, key: str) -> None:
    done = extract_nequix(tmp_path, **{key: 3})
    assert done.stderr.strip() == f"unsupported: {key} = 3"


def test_neutral_files_are_safetensors(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(2, dtype=np.int64)}
    neutral_file.write(tmp_path / "x.safetensors", {"source": "x"}, arrays)
    found = safetensors.load_file(tmp_path / "x.safetensors")
    assert {name: array.tolist() for name, array in found.items()} == {
        name: array.tolist() for name, array in arrays.items()
    }


def test_structures_cover_what_can_go_wrong() -> None:
    structures = perturbed_structures(["H", "C", "O", "U"])
    assert len(structures) == 10
    assert {tuple(a.pbc) for a in structures} == {(True,) * 3, (True, True, False), (False,) * 3}
    assert min(len(a) for a in structures) == 1
    assert any(abs(a.cell.angles() - 90).max() > 2 for a in structures if a.pbc.all())
