"""One self-contained HTML page of a run or an evaluation: what was found, apart from how it is shown."""
