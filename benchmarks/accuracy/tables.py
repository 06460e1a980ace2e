"""Results and published figures as Markdown, JSON and PNG.

    python benchmarks/accuracy/tables.py

reads results/*.json and results/md/*.json, writes tables.json, rewrites docs/accuracy.md between its
markers, and draws the pictures it shows.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from families import EXPERIMENTS, FAMILIES
from figures import draw_comparison, draw_learning_curves
from md_runs import MDRecord, read_md_records
from protocols import Family
from records import RESULTS, Result, read_results

from e3md.accuracy.errors import Errors
from e3md.files import write_text

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- begin: written by benchmarks/accuracy/tables.py -->", "<!-- end -->"


@dataclass(frozen=True)
class Cell:
    """Errors of one model on one column, in the units of the family; stress in meV/Å³."""

    energy: float | None
    forces: float | None
    stress: float | None = None

    def text(self) -> str:
        parts = [self.energy, self.forces, *([self.stress] if self.stress is not None else [])]
        return " / ".join("–" if part is None else f"{part:.3g}" for part in parts)


@dataclass(frozen=True)
class Row:
    """One model across the columns of a family."""

    model: str
    ours: bool
    source: str
    cells: dict[str, Cell]


def family_rows(family: Family, results: Mapping[str, Result]) -> list[Row]:
    """Our recipes that have results, then the published models."""
    ours: dict[str, Row] = {}
    for experiment in family.experiments:
        result = results.get(experiment.name)
        if result is None:
            continue
        empty = Row(describe(result), True, f"recipe `{experiment.recipe}`", {})
        row = ours.setdefault(experiment.recipe, empty)
        for column, test in experiment.protocol.columns().items():
            row.cells[column] = _cell(
                result.tests[test.label], family.statistic, experiment.protocol.atoms
            )
    published = [
        Row(p.model, False, p.source, {name: Cell(*pair) for name, pair in p.errors.items()})
        for p in family.published
    ]
    return [*ours.values(), *published]


def describe(result: Result) -> str:
    """Architecture and size, such as `nequip l ≤ 2, 32 channels, 3 layers`."""
    h = result.hyperparameters
    degree = f" l ≤ {h['l_max']}" if "l_max" in h else ""
    features = f"{h['channels']} channels" if "channels" in h else h["hidden_irreps"]
    return f"{result.architecture}{degree}, {features}, {h['n_layers']} layers"


def _cell(errors: Errors, statistic: str, atoms: int) -> Cell:
    energy, forces = (getattr(pair, statistic) for pair in (errors.energy_per_atom, errors.forces))
    stress = 1e3 * getattr(errors.stress, statistic) if errors.stress else None
    return Cell(1e3 * atoms * energy, 1e3 * forces, stress)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def family_section(family: Family, rows: list[Row]) -> str:
    """Heading, text and table of a family."""
    columns = {
        name: p.title if len(p.tests) == 1 else f"{p.title}, {test.label}"
        for p in family.protocols()
        for name, test in p.columns().items()
    }
    with_stress = any(c.stress is not None for row in rows for c in row.cells.values())
    quantities = f"E ({family.energy_unit}) / F (meV/Å)" + (
        " / stress (meV/Å³)" if with_stress else ""
    )
    lines = [
        [
            f"**e3md {row.model}**" if row.ours else row.model,
            *(row.cells[name].text() if name in row.cells else "" for name in columns),
            row.source,
        ]
        for row in rows
    ]
    head = table(["model", *columns.values(), "source"], lines)
    return (
        f"## {family.title}\n\n{family.text}\n\nTest {family.statistic.upper()}, {quantities}:\n\n"
        f"{head}\n"
    )


def runs_section(results: Mapping[str, Result]) -> str:
    """What each of our figures cost, and how to get it again."""
    rows = [
        [
            f"`{name}`", f"`{r.recipe}`", describe(r), f"{r.n_weights:,}", str(r.n_train),
            f"{r.epochs} of {r.training['max_epochs']}", f"{r.hours:.2f}", str(r.threads),
            str(r.seed), r.machine, r.date,
        ]
        for name in EXPERIMENTS
        if (r := results.get(name))
    ]  # fmt: skip
    head = [
        "run", "recipe", "model", "weights", "frames", "epochs", "hours", "threads", "seed",
        "machine", "date",
    ]  # fmt: skip
    return f"## Our runs\n\n{table(head, rows)}\n"


def md_section(records: Mapping[str, MDRecord], pictures: Path, docs: Path) -> str:
    """What molecular dynamics with our models gave; empty without any."""
    if not records:
        return ""
    parts = ["## Molecular dynamics\n"]
    for name, record in records.items():
        parts.append(f"{record.sentence()}\n")
        parts += [_image(path, docs) for path in sorted(pictures.glob(f"accuracy_{name}_*.png"))]
    return "\n".join(parts) + "\n"


def _image(path: Path, docs: Path) -> str:
    return f"![{path.stem}]({path.relative_to(docs.parent)})\n"


def insert(page: Path, text: str) -> None:
    """Put text between the markers of a page.

    Raises:
        ValueError: if the page lacks them.
    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page}: expected the lines {BEGIN} and {END}")
    write_text(page, f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def main(
    results: Annotated[Path, typer.Option(help="folder of the JSON files")] = RESULTS,
    page: Annotated[Path, typer.Option(help="Markdown file with markers")] = ROOT
    / "docs"
    / "accuracy.md",
) -> None:
    """Write tables and pictures from all results."""
    found = read_results(results)
    pictures = page.parent / "pictures"
    pictures.mkdir(exist_ok=True)
    rows = {family.key: family_rows(family, found) for family in FAMILIES}
    shown = {family.key: family for family in FAMILIES if any(r.ours for r in rows[family.key])}
    parts = []
    if len(shown) > ("curves" in shown):
        path = pictures / "accuracy_forces.png"
        draw_comparison([(f, rows[k]) for k, f in shown.items() if k != "curves"], path)
        parts.append(_image(path, page))
    for key, family in shown.items():
        parts.append(family_section(family, rows[key]))
        if key == "curves":
            path = pictures / "accuracy_learning_curves.png"
            draw_learning_curves(family, rows[key], path)
            parts.append(_image(path, page))
    parts += [md_section(read_md_records(results / "md"), pictures, page), runs_section(found)]
    insert(page, "\n".join(part for part in parts if part))
    every = {key: [asdict(row) for row in some] for key, some in rows.items()}
    write_text(results.parent / "tables.json", json.dumps(every, indent=1, ensure_ascii=False))
    print(f"{len(found)} results in {page}")


if __name__ == "__main__":
    typer.run(main)
