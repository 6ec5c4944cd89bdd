"""From seconds to frames: the nearest lengths that clips can have."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from wan2gp_patch.frames import FRAMES_PER_LATENT


@dataclass(frozen=True)
class Room:
    """What of a clip is not shown: `head` frames repeat what came before, and `end` frames are cut.

    `least`: frames of the shortest clip that is legal. `sees`: frames that it sees of the clip before.
    """

    head: int
    end: int = 0
    least: int = 1
    sees: int = 0

    @property
    def shortest(self) -> int:
        """Frames of the shortest clip that shows at least one frame."""
        needed = max(self.least, self.head + self.end + 1)
        return needed + (1 - needed) % FRAMES_PER_LATENT


def frames_of(seconds: float, fps: int) -> float:
    """A length in frames, not yet a whole number. Written out so that 0.1 s at 10 per second is 1."""
    return round(seconds * fps, 6)


def clip_length(shown: float, room: Room) -> int:
    """Frames of the clip, 4k+1, that shows nearest to `shown` frames; the shorter of two that are as near."""
    steps = math.ceil((shown + room.head + room.end - 1) / FRAMES_PER_LATENT - 0.5)
    return max(FRAMES_PER_LATENT * steps + 1, room.shortest)


def split(shown: float, rooms: Sequence[Room]) -> tuple[int, ...]:
    """Frames of each clip, 4k+1 and as equal as possible, that together show nearest to `shown` frames."""
    hidden = sum(room.head + room.end for room in rooms)
    steps = math.ceil((shown + hidden - len(rooms)) / FRAMES_PER_LATENT - 0.5)
    lengths = [(room.shortest, index) for index, room in enumerate(rooms)]
    heapq.heapify(lengths)
    for _ in range(steps - sum(length // FRAMES_PER_LATENT for length, _ in lengths)):
        shortest, index = lengths[0]
        heapq.heapreplace(lengths, (shortest + FRAMES_PER_LATENT, index))
    return tuple(length for length, _ in sorted(lengths, key=itemgetter(1)))


def fits_alone(shown: float, longest: int, room: Room) -> bool:
    """Whether one clip of at most `longest` frames shows as near to `shown` frames as any number of clips."""
    return shown <= longest - room.head - room.end + FRAMES_PER_LATENT / 2


def clips_needed(shown: float, longest: int, first: Room, later: Room, last: Room) -> int:
    """The fewest clips, from two on, of at most `longest` frames that show nearest to `shown` frames.

    Raises `ValueError` where a later clip of that length shows nothing.
    """
    if longest <= later.head or longest <= last.head + last.end:
        raise ValueError("a clip shows nothing")
    ends = longest - first.head + longest - last.head - last.end
    return 2 + max(0, math.ceil((shown - ends - FRAMES_PER_LATENT / 2) / (longest - later.head)))
