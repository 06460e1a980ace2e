"""What one check finds."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["pass", "warn", "fail"]


@dataclass(frozen=True)
class CheckResult:
    """One line of the report."""

    name: str
    status: Status
    value: float  # the figure; its unit is in the message
    threshold: float  # the figure at which it stops passing
    message: str  # what the figure is and, unless it passes, what to do


@dataclass(frozen=True)
class Bounds:
    """Figures from which on a check warns and fails; large figures are bad if fail > warn."""

    warn: float
    fail: float

    def judge(self, value: float) -> Status:
        """NaN fails."""
        sign = 1 if self.fail > self.warn else -1
        if sign * value < sign * self.warn:
            return "pass"
        return "warn" if sign * value < sign * self.fail else "fail"

    def result(self, name: str, value: float, figure: str, advice: str) -> CheckResult:
        """A line that gives advice unless the value passes."""
        status = self.judge(value)
        message = figure if status == "pass" else f"{figure}. {advice}"
        return CheckResult(name, status, value, self.warn, message)
