"""The frames of a clip on their way out: what repeats the clip before is cut, and so is the tail."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from headless.errors import BadOutput
from headless.job_listener import JobListener
from headless.media.write_behind import WriteBehind
from headless.publish import KeptFrames
from headless.segment import Generation, Picture


class Colours(Protocol):
    """What is done to the colours of a clip; `headless.chain_colours` says how they are decided."""

    def learn(self, head: list[Picture], first: Picture) -> None:
        """Look at the frames that repeat the clip before, and the first one after them."""

    def apply(self, frame: Picture) -> Picture:
        """A frame as it is shown."""


@dataclass
class Newest:
    """The newest frames of a video, at most `wanted`, oldest first."""

    wanted: int
    frames: deque[Picture] = field(default_factory=deque)

    def offer(self, frame: Picture) -> None:
        """One more frame."""
        self.frames.append(frame)
        while len(self.frames) > self.wanted:
            self.frames.popleft()


def write_frames(
    generation: Generation,
    write: Callable[[Picture], None],
    listener: JobListener,
    measure: Callable[[Picture], None] = lambda _: None,
    *,
    tail: int = 0,
    colours: Colours | None = None,
) -> KeptFrames:
    """Hand the frames that are shown to the encoder, and with the head to the meter.

    `tail`: frames at the end that are not shown. Where colours change, they do so beside the engine.
    Raises `BadOutput` for a wrong number of frames.
    """
    head = generation.num_frames - generation.new_frames
    kept = KeptFrames(generation.new_frames - tail)
    shown = 0

    def show(picture: Picture) -> None:
        nonlocal shown
        locked = picture if colours is None else colours.apply(picture)
        measure(locked)
        write(locked)
        kept.offer(shown, locked)
        shown += 1

    with ExitStack() as stack:
        send = show if colours is None else stack.enter_context(WriteBehind(show)).write
        _deal_out(generation, listener, send, measure, kept, head, colours)
    return kept


def _deal_out(
    generation: Generation,
    listener: JobListener,
    send: Callable[[Picture], None],
    measure: Callable[[Picture], None],
    kept: KeptFrames,
    head: int,
    colours: Colours | None,
) -> None:
    before: list[Picture] = []
    count = 0
    for picture in generation.frames:
        if count < head:
            measure(picture)
            if colours is not None:
                before.append(picture)
        elif count < head + kept.total:
            if colours is not None and count == head:
                colours.learn(before, picture)
                before.clear()
            send(picture)
        else:
            kept.end = picture
        count += 1
        listener.on_share(min(count, generation.num_frames), generation.num_frames)
    if count != generation.num_frames:
        raise BadOutput(
            f"The engine decoded {count} frames instead of {generation.num_frames}. Please report this."
        )
