"""A task of one clip: its video is the clip's own file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headless.chain_colours import colours_of
from headless.clip_made import ClipMade, ClipParts, Target
from headless.clip_run import ClipRun
from headless.hand_off import HandOff
from headless.planning.chain import ChainPlan
from headless.publish import LATENTS_FILE, VIDEO_FILE, write_stills
from headless.segment import Generation
from headless.segment_told import adjustments_of, segment_told
from wan2gp_patch.adjustment import Adjustment


@dataclass
class SingleRun:
    """`generate()` in the engine's thread, then `finish()`."""

    chain: ChainPlan
    parts: ClipParts
    clips: ClipRun
    files: Path
    metadata: Callable[[ClipParts, Generation], Mapping[str, str]]
    patched: Callable[[ClipParts], AbstractContextManager[None]]
    _made: ClipMade | None = field(default=None, init=False)

    def generate(self) -> None:
        """Make the clip."""
        target = Target(self.files / VIDEO_FILE, self.files / LATENTS_FILE, self.metadata)
        with self.patched(self.parts):
            self._made = self.clips.make(
                self.parts,
                HandOff(),
                target,
                colours=lambda: colours_of(self.chain, self.parts.clip, self.parts.checks.anchor, ()),
            )

    def finish(self) -> list[dict[str, Any]]:
        """Complete the files; what the result says of the one segment."""
        made = self.last
        with made.video:
            self.clips.listener.check()
        made.hand_off  # noqa: B018 - waits for the latents
        plan = made.parts.clip.plan
        title = f"{plan.model}  seed {plan.seed}  {plan.width}x{plan.height}"
        write_stills(made.kept, made.parts.inputs.pictures, title, self.files)
        return [segment_told(made, 0)]

    @property
    def adjustments(self) -> tuple[Adjustment, ...]:
        """What was adjusted after the clip was planned."""
        return adjustments_of(self.last)

    @property
    def last(self) -> ClipMade:
        """The clip."""
        if self._made is None:
            raise RuntimeError("no clip was made")
        return self._made
