"""Collects what a plan changes of a request, and refuses it all under `strict`."""

from __future__ import annotations

from headless.errors import BadParams
from headless.params.show import show
from wan2gp_patch.adjustment import Adjustment


class Ledger:
    """Adjustments in the order in which they were made."""

    def __init__(self) -> None:
        self._entries: list[Adjustment] = []

    @property
    def entries(self) -> tuple[Adjustment, ...]:
        """Everything written down so far."""
        return tuple(self._entries)

    def used(self, field: str, requested: object, used: object, why: str) -> None:
        """Write down that `used` stands for `requested`, unless they are the same."""
        if used != requested:
            self._entries.append(Adjustment(field, requested, used, why))

    def refuse(self) -> None:
        """Raise `BadParams` that names every entry, if there is one: what `strict` asks for."""
        refuse_adjustments(self.entries)


def refuse_adjustments(adjustments: tuple[Adjustment, ...]) -> None:
    """What `strict` asks for: `BadParams` that names every adjustment."""
    if adjustments:
        sentences = " ".join(
            f"{entry.field} is {show(entry.requested)} and would become {show(entry.used)}: {entry.why}."
            for entry in adjustments
        )
        raise BadParams(f"strict allows no adjustment. {sentences} Change the request, or leave strict out.")
