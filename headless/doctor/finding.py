"""What a check found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum


class Health(StrEnum):
    """`WARN`: works, but not as one would want. `SKIPPED`: could not be looked at, because of another one."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, what was seen, and what to do where it is not well."""

    check: str
    health: Health
    what: str
    mend: str = ""

    def row(self) -> dict[str, str]:
        """For JSON."""
        return {name: str(value) for name, value in asdict(self).items()}


def ok(check: str, what: str) -> Finding:
    """All is well."""
    return Finding(check, Health.OK, what)


def warn(check: str, what: str, mend: str) -> Finding:
    """Works, but."""
    return Finding(check, Health.WARN, what, mend)


def fail(check: str, what: str, mend: str) -> Finding:
    """Does not work."""
    return Finding(check, Health.FAIL, what, mend)


def skipped(check: str, why: str) -> Finding:
    """Was not looked at."""
    return Finding(check, Health.SKIPPED, why)
