"""Faults on request, written into the prompt: `[fault oom at step 2]`, `[fault bug at decoding]`.

Those of pictures spoil the clip instead: `[fault black]`, `[fault grey at frame 12]` (from there to its end),
`[fault frozen at seed 7]` (in a clip of that seed, so that a second try is fine).
Only the fake engine reads them, so a frontend can see every way in which a task can end.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from dataclasses import dataclass

from headless.errors import BadInput, BadOutput, DeviceSick, ModelMissing, OutOfMemory

_PATTERN = re.compile(r"\[fault (?P<kind>[a-z-]+)(?: at (?P<where>[a-z]+)(?: (?P<step>\d{1,10}))?)?\]")

PICTURES = ("black", "grey", "frozen", "nan", "wrong-start", "wrong-end")
"""Faults that show in the pictures."""
KINDS = (
    *("oom", "sick", "missing-model", "bad-input", "bad-output", "bug", "disk-full", "kill", "hang"),
    *PICTURES,
)


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong at a phase, or at step `step` of the denoising.

    For a fault of pictures, `step` is the seed that it hits or the frame from which it does.
    """

    kind: str
    where: str = "step"
    step: int = 1

    @property
    def of_pictures(self) -> bool:
        """Whether it spoils frames and stops nothing."""
        return self.kind in PICTURES

    def hits_seed(self, seed: int) -> bool:
        """Whether a clip of that seed is spoilt."""
        return self.where != "seed" or self.step == seed

    def hits_frame(self, index: int, total: int) -> bool:
        """Whether frame `index` of `total` is spoilt."""
        if self.kind == "wrong-start":
            return index == 0
        if self.kind == "wrong-end":
            return index == total - 1
        return self.where != "frame" or index >= self.step

    def strike(self) -> None:
        """Go wrong now, unless the fault is one of pictures."""
        if self.of_pictures:
            return
        match self.kind:
            case "oom":
                raise OutOfMemory("The fake engine was told to run out of memory.")
            case "sick":
                raise DeviceSick("The fake engine was told that its device is sick.")
            case "missing-model":
                raise ModelMissing("The fake engine was told that a weight file is missing.")
            case "bad-input":
                raise BadInput("The fake engine was told to find a bad input.")
            case "bad-output":
                raise BadOutput("The fake engine was told to make a bad output.")
            case "disk-full":
                raise OSError(28, "No space left on device", "fake")
            case "hang":
                threading.Event().wait()
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case _:
                raise RuntimeError("The fake engine was told to meet a bug.")


def read_faults(prompt: str) -> tuple[Fault, ...]:
    """The faults that a prompt asks for; `ValueError` names an unknown kind and the legal ones."""
    faults = []
    for match in _PATTERN.finditer(prompt):
        if match["kind"] not in KINDS:
            raise ValueError(f"fault {match['kind']!r} is unknown. Use one of: {', '.join(KINDS)}.")
        faults.append(Fault(match["kind"], match["where"] or "step", int(match["step"] or 1)))
    return tuple(faults)
