"""What was changed of a request, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Adjustment:
    """One value that was used instead of the one requested. Nothing is clamped without one of these."""

    field: str
    requested: object
    used: object
    why: str

    def as_json(self) -> dict[str, object]:
        """`{field, requested, used, why}`, the form in which a task's result lists it."""
        return {"field": self.field, "requested": self.requested, "used": self.used, "why": self.why}
