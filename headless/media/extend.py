"""The beginning of a movie that goes on from a video: copied as it is where that can be."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise, repeat
from pathlib import Path

import numpy as np

from headless.errors import BadInput
from headless.media.avc import AvcConfig, carried_sets
from headless.media.avc_colours import with_told_colours
from headless.media.coded_clip import CodedClip, read_coded_clip, read_samples
from headless.media.movie import HELD_BACK
from headless.media.mp4_boxes import PictureFormat
from headless.media.video_reader import VideoInfo, frame_times, probe, read_frames
from headless.media.video_source import VideoLimits
from headless.media.video_writer import VideoWriter
from headless.media.whole_mp4 import sample_runs, write_whole
from headless.segment import Picture
from wan2gp_patch.adjustment import Adjustment

_MOST_TICKS = 2**31 - 1
_ROUNDING = Fraction(1, 1000)
"""Matroska rounds time stamps to milliseconds."""


@dataclass(frozen=True)
class HeadCopy:
    """The frames of a video as the first clip of a movie.

    `path` comes first into `Movie.append`, and `parameter_set` goes to the `VideoWriter` of every clip after
    it. `frames` are those of the head; `copied` says whether they are the video's own bytes. `adjustments`
    tell what was not kept.
    """

    path: Path
    frames: int
    parameter_set: int
    copied: bool
    adjustments: tuple[Adjustment, ...]


class _NotCopiedError(Exception):
    """Why the coded frames of a video cannot be used."""


def copy_head(
    video: Path,
    destination: Path,
    *,
    width: int,
    height: int,
    fps: float | Fraction,
    crf: float = 16,
    limits: VideoLimits | None = None,
    strict: bool = False,
    field: str = "extend_from",
    check: Callable[[], None] = lambda: None,
) -> HeadCopy:
    """Write the frames of `video` to `destination`, an mp4 that clips of `VideoWriter` can follow in a movie.

    H.264 of 8-bit 4:2:0 with square, upright pixels is copied, bit for bit and with its own time stamps,
    however irregular; its last frame stays for a tick of `fps` at least. What else can be read is encoded
    again at `fps`, by its time stamps, with that frame as the last one. This is reported, as is sound, which
    is left out; under `strict` both are refused. Where copied frames do not say what their colours mean,
    their header is made to say how they were read: players would take them for those that follow. `check` is
    called per frame and may raise to stop.

    Raises `BadInput` for another size or another steady rate, naming what is legal; `DiskFull`.
    """
    limits, rate = limits or VideoLimits(), Fraction(fps).limit_denominator(1001)
    info = probe(video, limits=limits, field=field)
    _check_size(info, width, height, field)
    times = frame_times(video, limits=limits, field=field, check=check)
    _check_rate(times, rate, field)
    adjustments = list(_without_sound(info, field))
    try:
        coded = _copyable(video, info, times, limits, field)
        joined, own_set = _joined(coded, rate, crf)
    except _NotCopiedError as reason:
        joined, own_set = None, 0
        adjustments.insert(0, Adjustment(field, "copied as it is", "encoded again", str(reason)))
    if strict and adjustments:
        changes = "; ".join(f"it would be {entry.used}, as {entry.why}" for entry in adjustments)
        raise BadInput(f"{field}: strict allows no adjustment, and {changes}")
    if joined is None:
        ticks, held = _ticks(times, info, rate, limits, field)
        frames = read_frames(video, limits=limits, last=ticks, fps=rate, field=field, check=check)
        with VideoWriter(destination, width=width, height=height, fps=rate, crf=crf) as writer:
            for frame in _held(frames, held):
                check()
                writer.write(frame)
        return HeadCopy(destination, writer.frames, 0, False, tuple(adjustments))
    joined = _shown_for_a_tick(joined, rate)
    data = _checked(read_samples(video, limits=limits, field=field), check)
    chunks = [len(run) for run in sample_runs(joined.samples)]
    delay = math.ceil(HELD_BACK / rate * joined.picture.timescale)
    write_whole(destination, joined.picture, joined.samples, data, chunks, {}, delay)
    return HeadCopy(destination, len(joined.samples), own_set, True, tuple(adjustments))


def _check_size(info: VideoInfo, width: int, height: int, field: str) -> None:
    if (info.width, info.height) != (width, height):
        raise BadInput(
            f"{field}: the video has {info.width}x{info.height} pixels and is to go on with "
            f"{width}x{height}; only {width}x{height} is legal then. Scale it, or set width and height to "
            "its size if both are multiples of 16"
        )


def _check_rate(times: tuple[Fraction, ...], rate: Fraction, field: str) -> None:
    """A steady rate must be that of the task. An irregular one has time stamps to go by."""
    steps = [after - before for before, after in pairwise(times)]
    if not steps or all(abs(time - times[0] - n / rate) <= _ROUNDING for n, time in enumerate(times)):
        return
    step = (times[-1] - times[0]) / len(steps)
    if all(abs(one - step) <= _ROUNDING for one in steps):
        own, legal = f"{float(1 / step):.6g}", f"{float(rate):.6g}"
        raise BadInput(
            f"{field}: the video has {own} frames per second and is to go on with {legal}; only {legal} or a "
            "variable rate is legal then. Convert it, or set fps to its rate if that is a whole number from "
            "1 to 60"
        )


def _ticks(
    times: tuple[Fraction, ...], info: VideoInfo, rate: Fraction, limits: VideoLimits, field: str
) -> tuple[int, int]:
    """How many ticks there are up to the last frame, its own included, and for how many more it stays."""
    length = times[-1] - times[0]
    ticks = math.floor(length * rate + Fraction(1, 2)) + 1
    held = max(0, math.ceil((Fraction(info.duration) - length) * rate - Fraction(3, 2)))
    if ticks + held > limits.max_frames:
        raise BadInput(
            f"{field}: at {float(rate):g} frames per second it has more than {limits.max_frames} frames, the "
            "most that is legal"
        )
    return ticks, held


def _held(frames: Iterator[Picture], more: int) -> Iterator[Picture]:
    """The frames, and the last one so many times more."""
    last: Picture | None = None
    for last in frames:
        yield last
    if last is not None:
        yield from repeat(last, more)


def _shown_for_a_tick(coded: CodedClip, rate: Fraction) -> CodedClip:
    """The same with a last frame that what follows does not push off the screen at once."""
    *before, last = coded.samples
    least = max(last.duration, math.ceil(coded.picture.timescale / rate))
    return replace(coded, samples=(*before, replace(last, duration=least)))


def _without_sound(info: VideoInfo, field: str) -> Iterator[Adjustment]:
    if info.has_audio:
        yield Adjustment(field, "with sound", "without sound", "videos are made without sound")


def _copyable(
    video: Path, info: VideoInfo, times: tuple[Fraction, ...], limits: VideoLimits, field: str
) -> CodedClip:
    """The video's samples, if they give the frames that were decoded and no others."""
    if info.turned:
        raise _NotCopiedError("it is turned when it is shown")
    try:
        coded = read_coded_clip(video, limits=limits, field=field)
        picture = with_told_colours(coded.picture, video, limits, field)
        carried = {one for sample in read_samples(video, limits=limits) for one in carried_sets(sample)}
    except (BadInput, ValueError) as error:
        raise _NotCopiedError(str(error).removeprefix(f"{field}: ")) from error
    if not carried <= {*picture.config.sps, *picture.config.pps}:
        raise _NotCopiedError("it has parameter sets among its frames")
    if len(coded.samples) != len(times):
        raise _NotCopiedError("some of its coded frames are never shown")
    return replace(coded, picture=picture)


def _joined(coded: CodedClip, rate: Fraction, crf: float) -> tuple[CodedClip, int]:
    """The head with the parameter sets of our clips beside its own, by a clock that has the ticks of both."""
    ticks = math.lcm(coded.picture.timescale, rate.numerator)
    if ticks > _MOST_TICKS:
        raise _NotCopiedError("no clock has its times and those of what follows")
    try:
        config, own_set = _with_ours(coded.picture, rate, crf)
    except ValueError as error:
        raise _NotCopiedError(f"its parameter sets cannot stand beside others: {error}") from error
    colour = coded.picture.colour if len(config.sps) == 1 else None
    picture = replace(coded.picture, config=config, colour=colour)
    return replace(coded, picture=picture).in_ticks(ticks), own_set


def _with_ours(picture: PictureFormat, rate: Fraction, crf: float) -> tuple[AvcConfig, int]:
    """The parameter sets of both, and the number of ours: 0 where the head was coded exactly as they are."""
    if picture.config.holds(_our_config(picture, rate, crf, 0)):
        return picture.config, 0
    free = picture.config.free_id()
    return picture.config.merged(_our_config(picture, rate, crf, free)), free


def _our_config(like: PictureFormat, rate: Fraction, crf: float, own_set: int) -> AvcConfig:
    """How `VideoWriter` codes pictures of that size: seen on one."""
    with tempfile.TemporaryDirectory(prefix="headless-format-") as folder:
        path = Path(folder) / "one.mp4"
        with VideoWriter(
            path, width=like.width, height=like.height, fps=rate, crf=crf, parameter_set=own_set
        ) as writer:
            writer.write(np.zeros((like.height, like.width, 3), np.uint8))
        return read_coded_clip(path).picture.config


def _checked(samples: Iterator[bytes], check: Callable[[], None]) -> Iterator[bytes]:
    for sample in samples:
        check()
        yield sample
