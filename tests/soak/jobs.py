"""The jobs of a soak: short clips, each with a length and a colour of its own."""

from __future__ import annotations

from typing import NamedTuple

from headless.task import Json

WIDTH = HEIGHT = 64
STEPS = 3


class Job(NamedTuple):
    """One job, by its number."""

    number: int

    @property
    def name(self) -> str:
        """The idempotency key: queueing the job twice queues it once."""
        return f"soak-{self.number}"

    @property
    def frames(self) -> int:
        """How many numbered frames its video has."""
        return 5 if self.number % 2 else 9

    @property
    def params(self) -> dict[str, Json]:
        """What its task asks for, beyond the usual."""
        return {
            "prompt": f"job {self.number}",
            "num_frames": self.frames,
            "width": WIDTH,
            "height": HEIGHT,
            "steps": STEPS,
            "seed": self.number,
        }
