"""Pages in a headless Chromium: quiet consoles, and readable in every window."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from chromium import PROGRAMS, Browser, browser
from drawing import drawn
from e3md.report.run import PAGE
from e3md.report.scene import viewer_script
from e3md.train.run import train
from training_data import write_run

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, PROGRAMS)), reason="no Chromium here: apt install chromium"
)

# Lowest contrast (WCAG 2) of any text with the page, and the text
CONTRAST = """(() => {
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((v) => {
      v /= 255;
      return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  let worst = [99, ""];
  for (const e of document.querySelectorAll("h1, h2, p, a, th, td, caption, figcaption, code, svg text")) {
    const style = getComputedStyle(e);
    const ink = light(e.closest("svg") ? style.fill : style.color);
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (ratio < worst[0]) worst = [ratio, e.textContent];
  }
  return worst;
})()"""
SMALLEST_TEXT = """Math.min(...[...document.querySelectorAll("svg text")].map(
  (e) => parseFloat(getComputedStyle(e).fontSize) * Math.hypot(e.getScreenCTM().a, e.getScreenCTM().b)))"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with drawn():
        return train(write_run(tmp_path_factory.mktemp("run"), max_epochs=3)) / PAGE


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1600])
def test_a_page_is_readable(tab: Browser, page: Path, width: int, dark: bool) -> None:
    tab.problems.clear()
    tab.look(page, width, dark)
    assert tab.ask("document.documentElement.scrollWidth") <= width  # tables scroll by themselves
    ratio, text = tab.ask(CONTRAST)
    assert ratio >= 4.5, text
    assert tab.ask(SMALLEST_TEXT) >= 7.5  # px, in pictures
    background = tab.ask("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") != dark
    assert tab.problems == []


def test_a_page_of_a_training_that_goes_on_is_quiet_too(tab: Browser, page: Path) -> None:
    going = page.with_name("going.html")
    going.write_text(page.read_text().replace("<body>", "<body data-live>"))
    tab.problems.clear()
    tab.look(going, 400)
    assert tab.problems == []


def test_the_viewer_opens(tab: Browser, page: Path) -> None:
    if viewer_script() is None:
        pytest.skip("no chemiscope here: pip install chemiscope")
    tab.problems.clear()
    tab.look(page, 700)
    tab.ask("setTimeout(() => document.getElementById('open-viewer').click()); 0")
    tab.wait("document.getElementById('open-viewer').hidden")
    assert tab.ask("document.getElementById('viewer-message').textContent") == ""
    for part in ("map", "structure"):
        assert tab.ask(f"document.getElementById('viewer-{part}').clientHeight") > 300
    assert tab.problems == []
