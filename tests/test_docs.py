"""Every link in the documentation leads somewhere, and its site builds."""

import importlib.util
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from conftest import ROOT
from e3md._core import ops_without_kernel

FOLDERS = ("docs", "examples", "benchmarks", "findings")
PAGES = sorted([*ROOT.glob("*.md"), *(p for f in FOLDERS for p in (ROOT / f).rglob("*.md"))])


def prose(page: Path) -> str:
    """A page without its code."""
    return re.sub(r"^( *)```.*?^\1```", "", page.read_text(), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """Those that GitHub, and the site, make of the headings."""
    headings = re.findall(r"^#+ +(.+)$", prose(page), flags=re.M)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {text.replace(" ", "-") for text in words}


def test_there_are_pages() -> None:
    assert len(list((ROOT / "docs").glob("*.md"))) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = page.parent / unquote(parts.path) if parts.path else page
        assert target.exists(), f"{page.name}: {link}"
        if parts.fragment:
            assert parts.fragment in anchors(target), f"{page.name}: {link} names no heading"


def test_what_is_said_of_gpus_is_true() -> None:
    """One place says it, and others point there: to be changed once all ops have CUDA kernels."""
    assert "runs models on the CPU only" in (ROOT / "docs" / "performance.md").read_text()
    assert ops_without_kernel("cuda")


def test_citation_names_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "type"} <= citation.keys()
    stated = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), flags=re.M)
    assert stated
    assert citation["version"] == stated[1]


class Page(HTMLParser):
    """Names and links of an HTML page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key in ("id", "name") and value:
                self.names.add(value)
            if key in ("href", "src") and value and tag != "base":
                self.links.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as CONTRIBUTING.md says: a warning is an error."""
    if importlib.util.find_spec("material") is None:
        pytest.skip('mkdocs-material is not installed: pip install ".[docs]"')
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_has_every_page_and_can_be_searched(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / f"{page.stem}.html").is_file()
        assert any(entry["location"].startswith(f"{page.stem}.html") for entry in index), page
    assert any("OUTCAR" in entry["title"] for entry in index)


def test_links_of_the_site_lead_somewhere(site: Path) -> None:
    pages = {
        path: Page(path.read_text()) for path in site.rglob("*.html") if path.name != "404.html"
    }
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                assert "font" not in link, "nothing is fetched from elsewhere"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), f"{path.name}: {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].names, f"{path.name}: {link}"
