"""How many clips a task has, and how long each is, where the task says it in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from headless.errors import BadParams
from headless.params.chain import MAX_SEGMENTS
from headless.params.generate import GenerateParams
from headless.plan import DEFAULT_FPS, DEFAULT_FRAMES, SHORTEST_WITH_END, resolve_num_frames
from headless.planning.images import frames_seen, resolve_images
from headless.planning.ledger import Ledger
from headless.planning.lengths import Room, clip_length, clips_needed, fits_alone, frames_of, split
from headless.planning.links import end_repeated
from headless.planning.wanted import Wanted
from headless.ports import ModelDefinition
from wan2gp_patch.frames import FRAMES_PER_LATENT, floor_to_clip_length

Clips = Callable[[int], tuple[Wanted, ...]]
"""The clips of a task that is split into so many."""


def with_lengths(
    params: GenerateParams, definition: ModelDefinition, clips: Clips, ledger: Ledger
) -> tuple[Wanted, ...]:
    """The clips of a task, each with its frames.

    Raises:
        BadParams: so long a video has too many clips, or none of this length can continue another.
    """
    if params.seconds is not None:
        return _split(params.seconds, params, definition, clips, ledger)
    fps = _fps(params, definition)
    return tuple(_settled(wanted, definition, fps) for wanted in clips(1))


def _settled(wanted: Wanted, definition: ModelDefinition, fps: int) -> Wanted:
    seconds = wanted.params.seconds
    if seconds is None:
        return wanted
    room = _room(wanted, definition)
    frames = clip_length(frames_of(seconds, fps), room)
    shown = frames - room.head - room.end
    noted = Ledger()
    noted.used("seconds", seconds, _seconds(shown, fps), f"the nearest length of a clip is {shown} frames")
    sized = wanted.giving(wanted.name("seconds"), num_frames=frames)
    return replace(sized, noted=(*wanted.noted, *noted.entries))


def _split(
    seconds: float, params: GenerateParams, definition: ModelDefinition, clips: Clips, ledger: Ledger
) -> tuple[Wanted, ...]:
    """Clips of nearly equal length, as few as can be."""
    fps = _fps(params, definition)
    wanted = clips(_count(seconds, fps, params, definition, clips, ledger))
    rooms = _for_the_next([_room(one, definition) for one in wanted])
    frames = split(frames_of(seconds, fps), rooms)
    shown = sum(frames) - sum(room.head + room.end for room in rooms)
    ledger.used("seconds", seconds, _seconds(shown, fps), f"the nearest length of a video is {shown} frames")
    return tuple(one.giving("seconds", num_frames=count) for one, count in zip(wanted, frames, strict=True))


def _count(
    seconds: float,
    fps: int,
    params: GenerateParams,
    definition: ModelDefinition,
    clips: Clips,
    ledger: Ledger,
) -> int:
    longest, shown = _longest(params, definition, ledger), frames_of(seconds, fps)
    if not params.loop and fits_alone(shown, longest, _room(clips(1)[0], definition)):
        return 1
    first, later, last = (_room(one, definition) for one in clips(3))
    try:
        count = clips_needed(shown, longest, first, later, last)
    except ValueError as error:
        raise BadParams(
            f"num_frames is {longest}: the first {max(later.head, last.head)} frames of a clip repeat the "
            "one before, and the video does not grow. Give a larger num_frames, or a smaller overlap."
        ) from error
    if count > MAX_SEGMENTS:
        raise BadParams(
            f"seconds is {seconds:g}: that is {count} clips of {longest} frames at {fps} frames per second, "
            f"and a task has at most {MAX_SEGMENTS}. Give fewer seconds, or a larger num_frames."
        )
    return count


def _longest(params: GenerateParams, definition: ModelDefinition, ledger: Ledger) -> int:
    """Frames of the longest clip, without a tail."""
    tail = FRAMES_PER_LATENT * params.end_tail_latents
    if params.num_frames is not None:
        return resolve_num_frames(params.model_copy(update={"end_image": None}), definition, ledger) - tail
    usual = int(definition.settings.get("num_frames") or DEFAULT_FRAMES)
    most = int(definition.settings.get("max_frames") or usual + tail)
    return floor_to_clip_length(max(1, min(usual, most - tail)))


def _room(wanted: Wanted, definition: ModelDefinition) -> Room:
    plan = resolve_images(wanted.params, definition, Ledger(), wanted.handed)
    least = 1 if wanted.params.end_image is None else SHORTEST_WITH_END
    sees = frames_seen(wanted.handed, plan.motion_latent_count, plan.overlap)
    end = end_repeated(plan.end_frame_mode) if wanted.closes else 0
    return Room(plan.continuation.head_drop, end, least, sees)


def _for_the_next(rooms: list[Room]) -> list[Room]:
    """The same, each clip long enough for what the next one sees of it."""
    following = [*(room.sees for room in rooms[1:]), 0]
    return [replace(room, least=max(room.least, sees)) for room, sees in zip(rooms, following, strict=True)]


def _fps(params: GenerateParams, definition: ModelDefinition) -> int:
    return params.fps or int(definition.settings.get("fps") or DEFAULT_FPS)


def _seconds(frames: int, fps: int) -> float:
    return round(frames / fps, 4)
