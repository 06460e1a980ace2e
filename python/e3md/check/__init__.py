"""A health report of a model before anyone runs production molecular dynamics: `e3md check`."""

from e3md.check.result import CheckResult
from e3md.check.run import check_and_print, run_checks
from e3md.check.subject import Subject, read_subject

__all__ = ["CheckResult", "Subject", "check_and_print", "read_subject", "run_checks"]
