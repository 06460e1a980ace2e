"""Damaged model files are refused by name, or mean what the sound one does; more by `fuzz`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fuzz.models import DAMAGE, Model, cases, gives_the_same, sound_models, write_archive
from fuzz.runner import Case, fuzz


@pytest.fixture(scope="module")
def make_case(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Case]:
    return cases(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    return sound_models(tmp_path_factory.mktemp("sound"))


def test_damaged_files_are_refused_or_mean_the_same(make_case: Callable[[int], Case]) -> None:
    tally = fuzz(make_case, range(60))
    assert tally.ok, tally


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
