"""What a user sees of a training in terminals of several widths."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from e3md.train.progress import fitting
from terminal import Screen, Terminal
from training_data import write_run

MakeModel = Callable[..., Path]
BAR = re.compile(r"epoch (\d+)/4 .*[━╺╸]{4,}.* \d:\d\d:\d\d (\d|-):(\d\d|--):(\d\d|--) left")
EPOCH = re.compile(r"epoch (\d+)/4  valid force MAE [\d.]+ meV/Å")


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_epochs_scroll_above_a_bar_with_the_time_left(tmp_path: Path, columns: int) -> None:
    write_run(tmp_path, max_epochs=4, threads=1)
    terminal = Terminal("train", "config.yaml", columns=columns, folder=tmp_path)
    assert terminal.watch() == 0
    epochs = [row for row in terminal.screen.rows if EPOCH.match(row)]
    assert [EPOCH.match(row)[1] for row in epochs] == ["1", "2", "3", "4"]
    bars = [row for row in terminal.seen if "━" in row and row.startswith("epoch")]
    assert bars
    assert all(BAR.fullmatch(row.rstrip()) for row in bars), bars
    assert max(map(len, epochs + bars)) <= columns
    assert any("energy MAE" in row for row in epochs) == (columns > 60)
    assert any("edges/s" in row for row in epochs) == (columns == 200)


def test_nothing_but_files_and_commands_is_wider_than_the_terminal(tmp_path: Path) -> None:
    """Those are not cut, so that they can be copied."""
    write_run(tmp_path, max_epochs=2, threads=1)
    terminal = Terminal("train", "config.yaml", columns=60, folder=tmp_path)
    assert terminal.watch() == 0
    wide = [row for row in terminal.screen.rows if len(row.rstrip()) > 60]
    assert all("report: " in row for row in wide), wide

    terminal = Terminal("export", "run", columns=60, folder=tmp_path)
    assert terminal.watch() == 0
    assert any("tabulating the radial networks" in row for row in terminal.seen)


def test_a_check_says_what_it_is_doing(tmp_path: Path, make_model: MakeModel) -> None:
    model = make_model("schnet", n_layers=1)
    terminal = Terminal("check", str(model), columns=80, folder=tmp_path)
    terminal.watch()
    assert any("reading the model" in row for row in terminal.seen)
    checks = {row.split("checking: ")[1].strip() for row in terminal.seen if "checking: " in row}
    assert len(checks) > 2, terminal.seen


def test_time_left_heeds_the_limit_of_time(tmp_path: Path) -> None:
    """A tenth of a minute, of what would take hours."""
    write_run(tmp_path, max_epochs=10**6, max_time=0.1, threads=1)
    terminal = Terminal("train", "config.yaml", columns=80, folder=tmp_path)
    assert terminal.watch() == 0
    bars = [row for row in terminal.seen if "━" in row and row.startswith("epoch")]
    assert bars
    assert all(re.search(r" 0:00:0\d left *$", row) for row in bars), bars


def test_a_line_holds_what_fits_in_order() -> None:
    parts = ["force MAE 1", "energy MAE 2", "loss 3"]
    assert fitting("epoch 1/2", parts, 100) == "epoch 1/2  force MAE 1, energy MAE 2, loss 3"
    assert fitting("epoch 1/2", parts, 35) == "epoch 1/2  force MAE 1"
    assert fitting("epoch 1/2", parts, 36) == "epoch 1/2  force MAE 1, energy MAE 2"
    assert fitting("epoch 1/2", parts, 5) == "epoch 1/2  force MAE 1"


def test_the_screen_of_these_tests_shows_what_a_terminal_does() -> None:
    screen = Screen()
    screen.feed("one\r\n\x1b[1;31mtw\x1b[0mo\r\nthree\x1b[1A\r\x1b[2KTWO\r\nTHR")
    assert screen.rows == ["one", "TWO", "THRee"]
