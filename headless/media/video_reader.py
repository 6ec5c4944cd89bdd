"""Reading videos: upright RGB frames with square pixels, by time stamps, and what a file holds."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from headless.errors import BadInput
from headless.media.video_frame import Orientation, orientation_of, refuse_unfit_frame, to_picture
from headless.media.video_source import VideoLimits, VideoSource, check_size, open_video, shown_size
from headless.segment import Clip, Picture


@dataclass(frozen=True)
class VideoInfo:
    """What a video holds, counted rather than believed.

    `width` and `height` are those of the frames that `read_frames` yields: upright, with square pixels.
    `fps` is the average rate, `frames` how many frames the file holds, `duration` in seconds.
    """

    width: int
    height: int
    fps: Fraction
    frames: int
    duration: float
    codec: str
    pixel_format: str
    turned: bool
    has_audio: bool


def probe(path: Path, *, limits: VideoLimits | None = None, field: str = "video") -> VideoInfo:
    """Describe a video; its first frame is decoded, the others are counted. Raises `BadInput`."""
    limits = limits or VideoLimits()
    with open_video(path, limits, field) as source:
        first = next(_decoded(source, limits, field))
        orientation = orientation_of(first, field)
        size = shown_size(first.width, first.height, source.sample_aspect_ratio)
        width, height = orientation.applied_to_size(size)
        codec, pixel_format = source.stream.codec_context.codec.canonical_name, first.format.name
        has_audio = bool(source.container.streams.audio)
    with open_video(path, limits, field) as source:
        frames, duration = _counted(source, limits, field)
        fps = source.stream.average_rate or source.stream.guessed_rate or Fraction(frames) / (duration or 1)
    return VideoInfo(
        width, height, fps, frames, float(duration), codec, pixel_format, orientation.turned, has_audio
    )


def read_metadata(path: Path, *, limits: VideoLimits | None = None, field: str = "video") -> dict[str, str]:
    """The tags of a video file, those of the container (`encoder`, `major_brand`) among them."""
    with open_video(path, limits or VideoLimits(), field) as source:
        return dict(source.container.metadata)


def read_frames(
    path: Path,
    *,
    limits: VideoLimits | None = None,
    last: int | None = None,
    fps: float | Fraction | None = None,
    field: str = "video",
    check: Callable[[], None] = lambda: None,
) -> Iterator[Picture]:
    """Yield frames in the order shown: uint8 [H, W, 3], upright (display matrix), square pixels, RGB.

    Without `fps` every frame comes once. With `fps` the clip is sampled at that rate by its time stamps: for
    each tick the frame on screen at the middle of that tick, so that a variable rate keeps its speed. `last`
    yields the last so many of them. With both, the ticks are counted back from the last frame, which comes
    last whatever its rate: what goes on from there must not go back. The file is then decoded twice. It is
    opened by the first `next`; `check` is called per frame and may raise to stop. Colours without tags are
    taken as BT.709 from 720 rows on, else as BT.601.

    Raises `BadInput` where the decoder notices damage: a frame that it had to conceal is not shown.
    """
    limits, rate = limits or VideoLimits(), None if fps is None else Fraction(fps).limit_denominator(1001)
    end = Fraction(0)
    if last is not None and rate is not None:
        end = max(frame_times(path, limits=limits, field=field, check=check))
    with open_video(path, limits, field) as source:
        frames = _decoded(source, limits, field, check)
        if last is not None and rate is not None:
            frames = _sampled_to_the_end(frames, end, last, rate, field)
        elif rate is not None:
            frames = _sampled(frames, rate, limits, field)
        elif last is not None:
            frames = iter(deque(frames, maxlen=last))
        orientation: Orientation | None = None
        for frame in frames:
            orientation = orientation or orientation_of(frame, field)
            size = shown_size(frame.width, frame.height, source.sample_aspect_ratio)
            yield orientation.applied(to_picture(frame, size))


def frame_times(
    path: Path,
    *,
    limits: VideoLimits | None = None,
    field: str = "video",
    check: Callable[[], None] = lambda: None,
) -> tuple[Fraction, ...]:
    """When each frame is shown, in seconds, in that order. Every one is decoded and none converted.

    Raises `BadInput` as `read_frames` does.
    """
    limits = limits or VideoLimits()
    with open_video(path, limits, field) as source:
        return tuple(_time(frame, field) for frame in _decoded(source, limits, field, check))


def read_clip(
    path: Path,
    *,
    limits: VideoLimits | None = None,
    last: int | None = None,
    fps: float | Fraction | None = None,
    field: str = "video",
    check: Callable[[], None] = lambda: None,
) -> Clip:
    """The frames of `read_frames` as one array, uint8 [T, H, W, 3]. `BadInput` where that is too large."""
    limits = limits or VideoLimits()
    pictures: list[Picture] = []
    for picture in read_frames(path, limits=limits, last=last, fps=fps, field=field, check=check):
        pictures.append(picture)
        if len(pictures) * picture.nbytes > limits.max_clip_bytes:
            raise BadInput(f"{field}: decoded it takes more than {limits.max_clip_bytes} bytes of memory")
    return np.stack(pictures)


def _decoded(
    source: VideoSource, limits: VideoLimits, field: str, check: Callable[[], None] = lambda: None
) -> Iterator[av.VideoFrame]:
    """Every frame as stored, each checked; at least one."""
    size: tuple[int, int] | None = None
    start: Fraction | None = None
    for count, frame in enumerate(source.container.decode(source.stream), 1):
        check()
        _check_count(count, limits, field)
        refuse_unfit_frame(frame, field)
        size = size or (frame.width, frame.height)
        if size != (frame.width, frame.height):
            raise BadInput(
                f"{field}: its frames change from {size[0]}x{size[1]} to {frame.width}x{frame.height}"
            )
        check_size(shown_size(*size, source.sample_aspect_ratio), limits, field)
        start = _time(frame, field) if start is None else start
        if _time(frame, field) - start > limits.max_seconds:
            raise BadInput(f"{field}: it lasts longer than {limits.max_seconds:g} s, the most that is legal")
        yield frame
    if size is None:
        raise BadInput(f"{field}: {source.kind} that holds no frame, or holds them in another file")


def _sampled(
    frames: Iterator[av.VideoFrame], fps: Fraction, limits: VideoLimits, field: str
) -> Iterator[av.VideoFrame]:
    """For each tick of `fps` the frame on screen at its middle; a frame lasts until the next one comes.

    A video that is over before the middle of the first tick shows its last frame.
    """
    ticks, shown, start = itertools.count(), None, Fraction(0)
    tick = next(ticks)
    for frame in itertools.chain(frames, (None,)):
        if shown is None:
            shown, start = frame, _time(frame, field) if frame is not None else start
            continue
        until = _time(frame, field) if frame is not None else _end(shown, fps, field)
        while start + (tick + Fraction(1, 2)) / fps < until:
            _check_count(tick + 1, limits, field)
            yield shown
            tick = next(ticks)
        if frame is None and tick == 0:
            yield shown
        shown = frame


def _sampled_to_the_end(
    frames: Iterator[av.VideoFrame], end: Fraction, last: int, fps: Fraction, field: str
) -> Iterator[av.VideoFrame]:
    """For each of the `last` ticks of `fps` that end with the last frame's, at `end`, the frame on screen.

    A frame that comes up to half a tick after one is taken instead where it is nearer: time stamps are
    rounded, and some jitter. There are no ticks before the first frame.
    """
    shown, half, ticks = None, 1 / (2 * fps), last
    for frame in frames:
        time = _time(frame, field)
        early = half if shown is None else min(half, (time - _time(shown, field)) / 2)
        while ticks and end - (ticks - 1) / fps < time - early:
            if shown is not None:
                yield shown
            ticks -= 1
        shown = frame
    yield from itertools.repeat(shown, ticks) if shown is not None else ()


def _check_count(frames: int, limits: VideoLimits, field: str) -> None:
    if frames > limits.max_frames:
        raise BadInput(f"{field}: it has more than {limits.max_frames} frames, the most that is legal")


def _time(frame: av.VideoFrame, field: str) -> Fraction:
    if frame.pts is None or frame.time_base is None:
        raise BadInput(f"{field}: its frames have no time stamps")
    return frame.pts * frame.time_base


def _end(frame: av.VideoFrame, fps: Fraction, field: str) -> Fraction:
    """When the last frame leaves the screen; one tick where the file does not say."""
    duration = frame.duration * (frame.time_base or Fraction(0))
    return _time(frame, field) + (duration or 1 / fps)


def _counted(source: VideoSource, limits: VideoLimits, field: str) -> tuple[int, Fraction]:
    """How many frames the file holds and how long they last, in seconds, from its packets."""
    frames, start, end = 0, None, Fraction(0)
    time_base = source.stream.time_base or Fraction(1)
    for packet in source.container.demux(source.stream):
        if packet.pts is None or packet.is_discard:
            continue
        frames += 1
        _check_count(frames, limits, field)
        time = packet.pts * time_base
        start = time if start is None else min(start, time)
        end = max(end, time + (packet.duration or 0) * time_base)
    return frames, end - (start or Fraction(0))
