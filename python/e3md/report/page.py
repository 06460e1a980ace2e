"""A page as HTML: one template, one style sheet, one script, no other file and no network."""

import datetime
import re
from functools import cache
from html import escape
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from e3md.files import write_text
from e3md.report.content import Page


def write_page(page: Page, path: Path) -> None:
    """Whole or not at all.

    Raises:
        WriteError: naming the file and the reason.
    """
    write_text(path, render(page))


def render(page: Page) -> str:
    """All texts are escaped but pictures, scenes and scripts, which are ours or chemiscope's."""
    now = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return _environment().get_template("page.html").render(page=page, now=now)


@cache
def _environment() -> Environment:
    # autoescape: labels, file names and settings come from users' files
    environment = Environment(
        loader=PackageLoader("e3md.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["commands"] = _commands
    return environment


def _commands(line: str) -> str:
    """A text as HTML: what stands between backticks is shown as it is typed."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(line))
