"""Damaged files: each is refused with a word, or does what the sound file does.

`runner.py` runs cases, `models.py`, `text.py` and `runs.py` make them, one file each from a seed:
`cases(folder)` returns a function of the seed. From the project's folder:

    PYTHONPATH=tests python -m fuzz models -n 10000 --seed 1
"""
