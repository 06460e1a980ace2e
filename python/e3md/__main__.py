"""`python -m e3md` is `e3md`."""

from e3md.cli import app

app()
