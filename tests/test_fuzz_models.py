"""Damaged model files are refused by name, or mean what the sound one does; more by `fuzz`."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from e3md.demo import MODEL_PATH
from fuzz.models import DAMAGE, Model, cases_of, gives_the_same, sound_models, write_archive
from fuzz.runner import GOOD, Case, Verdict, fuzz, run_case


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    return sound_models(tmp_path_factory.mktemp("sound"))


def test_damaged_files_are_refused_or_mean_the_same(models: list[Model], tmp_path: Path) -> None:
    tally = fuzz(cases_of(models, tmp_path), range(60))
    assert tally.ok, str(tally)


def test_archives_written_anew_mean_the_same(models: list[Model], tmp_path: Path) -> None:
    """What the damage is done to is read as the original is."""
    for model in models:
        file = tmp_path / f"{model.name}.pt"
        write_archive(file, model.records)
        assert gives_the_same(file, model)


@pytest.mark.parametrize("kind", DAMAGE)
def test_every_kind_damages_its_file(kind: str, models: list[Model], tmp_path: Path) -> None:
    changed = 0
    for seed, model in enumerate(models):
        contents = []
        for _ in range(2):
            file = tmp_path / "damaged.pt"
            DAMAGE[kind](model, file, np.random.default_rng(seed))
            contents.append(file.read_bytes())
        assert contents[0] == contents[1]  # the seed makes it again
        changed += contents[0] != model.data
    assert changed == len(models)


@pytest.mark.parametrize("value", [-3_000_000, 25, 1_000_000, 2**40])
@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_wrong_harmonic_is_refused(
    column: int, value: int, models: list[Model], tmp_path: Path
) -> None:
    """Also where every CRC is right."""
    model = next(m for m in models if m.name == MODEL_PATH.stem)
    buffers = dict(torch.jit.load(MODEL_PATH).named_buffers())
    name = next(n for n in buffers if n.endswith("harmonic_index"))
    content = buffers[name].numpy().tobytes()
    changed = buffers[name].clone()
    changed[3, column] = value
    records = {
        n: changed.numpy().tobytes() if c == content else c for n, c in model.records.items()
    }
    assert records != model.records
    file = tmp_path / "wrong.pt"
    write_archive(file, records)
    outcome = run_case(Case(0, "integers", file, lambda: gives_the_same(file, model)))
    assert outcome.verdict is Verdict.refused, outcome


@pytest.mark.parametrize("end", [".py", ".debug_pkl", "data.pkl", "e3md.json", "records.txt"])
def test_no_record_needs_to_be_text(end: str, models: list[Model], tmp_path: Path) -> None:
    """An error that quotes a file says what is wrong in words all the same."""
    for model in models:
        garbled = {
            n: b"\xb6\xff \x80\n" if n.endswith(end) else c for n, c in model.records.items()
        }
        file = tmp_path / "garbled.pt"
        write_archive(file, garbled)
        outcome = run_case(Case(0, end, file, partial(gives_the_same, file, model)))
        assert outcome.verdict in GOOD, outcome
