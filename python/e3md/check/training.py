"""What the file says of its training: a sound function may still be a poor potential."""

import math

from e3md.check.result import CheckResult, Status
from e3md.check.subject import Subject


def training(subject: Subject) -> CheckResult:
    """Warns of an unfinished training, and of stress that periodic frames did not teach."""
    found = subject.double.training
    known = f"{found.quality}. Learned: {found.learned}"
    advice = []
    if found.unfinished:
        advice.append("Finish the training (`e3md train ... --resume`) and export again")
    if found.stress_untrained and found.periodic:
        advice.append("Train with stress labels before NPT or relaxation of cells")
    status: Status = "warn" if advice else "pass"
    return CheckResult("training", status, math.nan, math.nan, ". ".join([known, *advice]))
