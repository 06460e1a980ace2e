"""The page of a run and of an evaluation: what it holds, and that it costs the training nothing."""

import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from typer.testing import CliRunner

from conftest import random_structure
from drawing import drawn
from e3md import E3Calculator
from e3md.accuracy.evaluate import evaluate
from e3md.cli import app
from e3md.report import live, run, scene
from e3md.train.checkpoint import load_run
from e3md.train.run import train
from training_data import write_run


class Parts(HTMLParser):
    """Elements with their attributes, tables as rows of texts, and the text of the page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.words: list[str] = []
        self.cell: list[str] | None = None
        self.hidden = False
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.elements.append((tag, dict(attrs)))
        self.hidden = tag in ("script", "style")
        if tag == "table":
            self.rows: list[list[str]] = []
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td", "caption"):
            self.cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            self.tables["".join(self.cell or [])] = self.rows
        if tag in ("th", "td"):
            self.rows[-1].append("".join(self.cell or []))
        if tag in ("th", "td", "caption"):
            self.cell = None
        self.hidden = False

    def handle_data(self, data: str) -> None:
        if self.cell is not None:
            self.cell.append(data)
        if not self.hidden:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with drawn():
        return train(write_run(tmp_path_factory.mktemp("report"), max_epochs=3))


@pytest.fixture
def no_chemiscope(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene, "find_spec", lambda _: None)


@pytest.fixture
def stub_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of chemiscope's script, which may not be installed."""
    from e3md.report import evaluation

    for module in (evaluation, run):
        monkeypatch.setattr(module, "viewer_script", lambda: "window.Chemiscope = {};")


def test_the_page_of_a_run_holds_its_errors_curves_data_and_settings(run_dir: Path) -> None:
    page = Parts(run_dir / run.PAGE)
    errors = json.loads((run_dir / "report" / "errors.json").read_text())
    header, *rows = page.tables["Errors by quantity and element"]
    assert header[2:] == [f"{s} {e}" for s in ("train", "valid", "test") for e in ("MAE", "RMSE")]
    found = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert {"forces on Ar", "forces on Kr", "stress", "energy per atom"} <= found.keys()
    for name in ("valid", "test"):
        expected = errors[name]["forces_per_element"]["Kr"]["rmse"]
        assert found["forces on Kr"][f"{name} RMSE"] == f"{1e3 * expected:.3f}"
    sets = {row[0]: row[1:] for row in page.tables["Sets of frames"]}
    assert sets["frames"] == ["6", "2", "3"]
    assert sets["atoms per frame"] == ["8", "8", "8"]
    settings = dict(page.tables["Training"][1:])
    assert settings["max_epochs"] == "3"
    assert "3 epochs, the weights of epoch" in page.text
    assert "finished" in page.text
    assert "run_dir:" in page.text


def test_density_and_pressure_are_in_their_units(run_dir: Path) -> None:
    frames = ase.io.read(run_dir.parent / "test.xyz", ":")
    sets = {row[0]: row[3] for row in Parts(run_dir / run.PAGE).tables["Sets of frames"][1:]}
    density = [a.get_masses().sum() * 1.66053907 / a.get_volume() for a in frames]  # amu to 1e-24 g
    assert sets["density, g/cm³"] == f"{min(density):.3f} to {max(density):.3f}"
    pressure = [-a.get_stress()[:3].mean() * 160.2176634 for a in frames]
    assert sets["pressure, GPa"] == f"{min(pressure):.2f} to {max(pressure):.2f}"


def test_a_page_can_be_read_by_those_who_do_not_see_it(run_dir: Path) -> None:
    page = Parts(run_dir / run.PAGE)
    assert page.all("html") == [{"lang": "en"}]
    headings = [tag for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == "h1"
    assert set(headings[1:]) == {"h2"}
    assert len(page.all("svg")) >= 3 * 4 + 4
    for svg in page.all("svg"):
        assert svg["role"] == "img"
        assert len(svg["aria-label"] or "") > 20
    assert all(th.get("scope") in ("row", "col") for th in page.all("th"))
    assert len(page.tables) == len(page.all("table"))  # each has a caption of its own
    names = Counter(a["id"] for _, a in page.elements if "id" in a)
    assert not [name for name, times in names.items() if times > 1]
    links = [a["href"] or "" for a in page.all("a")]
    assert len(links) == len(page.all("section"))
    assert {link.removeprefix("#") for link in links} <= names.keys()


def test_a_page_needs_no_other_file(run_dir: Path) -> None:
    page = Parts(run_dir / run.PAGE)
    for tag, attributes in page.elements:
        assert not attributes.get("src"), (tag, attributes)
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
    assert not page.all("link")[1:]
    assert "@import" not in (run_dir / run.PAGE).read_text().partition("</style>")[0]


def test_colors_of_pictures_follow_the_page(run_dir: Path) -> None:
    text = (run_dir / run.PAGE).read_text()
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert pictures
    colors = set(re.findall(r"#[0-9a-f]{6}\b", " ".join(pictures)))
    assert not colors
    used = set(re.findall(r"var\((--[a-z0-9-]+)\)", text))
    light, dark = (set(re.findall(r"(--[a-z0-9-]+):", part)) for part in text.split("@media", 1))
    assert used <= light
    assert used <= dark


@pytest.mark.usefixtures("pictures")
def test_e3md_report_builds_the_page_anew(run_dir: Path, tmp_path: Path) -> None:
    other = shutil.copytree(run_dir, tmp_path / "run")
    (other / run.PAGE).unlink()
    record = other / "record.json"
    record.write_text(record.read_text().replace('"finished"', '"unfinished"'))
    result = CliRunner().invoke(app, ["report", str(other)])
    assert result.exit_code == 0, result.output
    assert "wrote" in result.output
    before, after = (Parts(folder / run.PAGE) for folder in (run_dir, other))
    table = "Errors by quantity and element"
    assert after.tables[table] == before.tables[table]
    assert "unfinished, weights of epoch" in after.text


def test_without_its_data_a_run_has_no_new_page(run_dir: Path, tmp_path: Path) -> None:
    other = shutil.copytree(run_dir, tmp_path / "run")
    record = other / "record.json"
    record.write_text(record.read_text().replace("train.xyz", "moved.xyz"))
    result = CliRunner().invoke(app, ["report", str(other)])
    assert result.exit_code == 1
    assert "moved.xyz" in result.output


def test_the_page_of_a_committee_has_its_calibration(tmp_path: Path) -> None:
    folder = train(write_run(tmp_path, max_epochs=1, members=2))
    page = Parts(folder / run.PAGE)
    names = {row[0] for row in page.tables["Error against the deviation of the members"][1:]}
    assert {"valid: force", "test: force", "test: energy"} <= names
    assert "member_2: 1 epochs" in page.text
    (folder / run.PAGE).unlink()
    assert CliRunner().invoke(app, ["report", str(folder)]).exit_code == 0
    assert Parts(folder / run.PAGE).tables == page.tables


def test_a_training_writes_its_page_and_learns_the_same(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def watched(page: run.RunPage, path: Path) -> None:
        run.write_run_page(page, path)
        written.append(Parts(path).text)

    monkeypatch.setattr(live, "write_run_page", watched)
    monkeypatch.setattr(live, "FIRST", 0.0)
    monkeypatch.setattr(live, "INTERVAL", 0.0)
    monkeypatch.setattr(live, "SHARE", 1e9)
    other = train(write_run(tmp_path, max_epochs=3))
    assert [f"training: epoch {n} of 3" in text for n, text in enumerate(written, 1)] == [True] * 3
    assert "training: epoch" not in Parts(other / run.PAGE).text
    weights, same = (load_run(folder)[0].state_dict() for folder in (run_dir, other))
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_pages_take_a_small_part_of_the_time(tmp_path: Path, monkeypatch) -> None:
    clock = [0.0]
    written = []

    def slow(page: run.RunPage, _: Path) -> None:
        written.append(clock[0])
        clock[0] += 100.0

    monkeypatch.setattr(live.time, "monotonic", lambda: clock[0])
    page = live.LivePage.__new__(live.LivePage)
    page.due, page.console = 0.0, None
    monkeypatch.setattr(page, "_write", lambda *_: slow(None, tmp_path), raising=False)
    trainer = type("Trainer", (), {"is_global_zero": True})
    while clock[0] < 20_000:
        page.on_train_epoch_end(trainer, None)
        clock[0] += 10.0
    assert len(written) == 4  # every 100 / 0.02 s
    assert 100.0 * len(written) <= 0.025 * clock[0]


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch, capsys) -> None:
    def fails(*_: object) -> None:
        raise OSError("no space left\non this disk")

    monkeypatch.setattr(live, "write_run_page", fails)
    monkeypatch.setattr(live, "FIRST", 0.0)
    monkeypatch.setattr(live, "INTERVAL", 0.0)
    monkeypatch.setattr(live, "SHARE", 1e9)
    folder = train(write_run(tmp_path, max_epochs=3))
    out = capsys.readouterr().out
    assert out.count("the page of the run could not be written: no space left") == 1
    assert "on this disk" not in out
    assert (folder / run.PAGE).is_file()  # of the end
    assert load_run(folder)[3].state == "finished"


def test_a_training_says_where_to_look(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    train(write_run(tmp_path, max_epochs=1))
    out = capsys.readouterr().out
    assert "tensorboard --logdir run/tensorboard\n" in out
    assert "run/report/index.html" in out
    assert list((tmp_path / "run" / "tensorboard").glob("events.out.*"))


@pytest.fixture
def model(make_model) -> Path:
    return make_model()


@pytest.fixture
def spoiled(model: Path, tmp_path: Path) -> Path:
    """Labels that are the model's own, but for the force on atom 4 of frame 2."""
    frames = []
    for seed in range(4):
        atoms = random_structure(8, seed)
        atoms.calc = E3Calculator(model)
        labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
        if seed == 2:
            labels["forces"][4] += [0.0, 2.0, 0.0]
        atoms.calc = SinglePointCalculator(atoms, **labels)
        atoms.info["config_type"] = "wrong" if seed == 2 else "</script><b>right</b>"
        frames.append(atoms)
    ase.io.write(tmp_path / "spoiled.xyz", frames, format="extxyz")
    return tmp_path / "spoiled.xyz"


@pytest.mark.usefixtures("stub_viewer")
def test_a_wrong_label_is_the_first_of_the_worst(
    model: Path, spoiled: Path, tmp_path: Path
) -> None:
    target = tmp_path / "new" / "page.html"
    result = CliRunner().invoke(
        app, ["evaluate", str(model), str(spoiled), "--report", str(target)]
    )
    assert result.exit_code == 0, result.output
    page = Parts(target)
    frame, name, _, error, atom, *_ = page.tables["Frames with the largest errors"][1]
    symbol = ase.io.read(spoiled, 2).symbols[4]
    assert (frame, name, error) == ("spoiled.xyz frame 2", "spoiled.xyz", "2000.0")
    assert atom == f"4 {symbol}"
    kinds = page.tables["Errors on spoiled.xyz by configuration type or composition"][1:]
    assert kinds[0][:2] == ["wrong", "1"]
    assert kinds[1][:2] == ["</script><b>right</b>", "3"]
    assert not page.all("b")
    assert f"e3md evaluate {model}" in page.text


@pytest.mark.usefixtures("stub_viewer")
def test_the_viewer_gets_the_worst_frames_with_arrows(
    model: Path, spoiled: Path, tmp_path: Path
) -> None:
    evaluate(model, spoiled, report=tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    shown = json.loads(re.search(r'id="scene">(.*?)</script>', text, re.DOTALL)[1])
    atoms = ase.io.read(spoiled, 2)
    first = shown["structures"][0]
    assert first["names"] == list(atoms.symbols)
    np.testing.assert_allclose([first[x] for x in "xyz"], atoms.positions.T, atol=1e-4)
    np.testing.assert_allclose(first["cell"], atoms.cell.array.ravel())
    n_atoms = sum(structure["size"] for structure in shown["structures"])
    assert n_atoms == 4 * 8 == len(shown["environments"])
    assert all(len(p["values"]) in (4, n_atoms) for p in shown["properties"].values())
    arrows = shown["shapes"]["force error"]["parameters"]["atom"]
    np.testing.assert_allclose(arrows[4]["vector"], [0.0, -scene.LONGEST, 0.0], atol=1e-3)


@pytest.mark.usefixtures("no_chemiscope")
def test_without_chemiscope_the_page_says_how_to_get_it(
    model: Path, spoiled: Path, tmp_path: Path
) -> None:
    evaluate(model, spoiled, report=tmp_path / "page.html")
    page = Parts(tmp_path / "page.html")
    assert "pip install chemiscope" in page.text
    assert not page.all("button")
    assert (tmp_path / "page.html").stat().st_size < 1_000_000


def test_frames_without_forces_are_not_ranked(model: Path, spoiled: Path, tmp_path: Path) -> None:
    frames = ase.io.read(spoiled, ":")
    for atoms in frames:
        energy = atoms.get_potential_energy()
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
    ase.io.write(tmp_path / "energies.xyz", frames, format="extxyz")
    evaluate(model, tmp_path / "energies.xyz", report=tmp_path / "page.html")
    page = Parts(tmp_path / "page.html")
    assert "nothing to rank" in page.text
    assert "No forces are labelled." in page.text
