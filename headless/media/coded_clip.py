"""The coded frames of a clip as they lie in its file, for copying."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from av.packet import Packet
from av.video.stream import VideoStream

from headless.errors import BadInput
from headless.media.avc import AvcConfig
from headless.media.mp4_boxes import PictureFormat, Sample
from headless.media.video_source import VideoLimits, VideoSource, open_video

_UNSPECIFIED = 2
_FULL_RANGE = 2


@dataclass(frozen=True)
class CodedClip:
    """A clip's samples in decoding order, times in ticks of `picture.timescale`, the first shown at 0.

    `delay`: so many ticks before that its file has the first one decoded.
    """

    picture: PictureFormat
    samples: tuple[Sample, ...]
    delay: int = 0

    def in_ticks(self, timescale: int) -> CodedClip:
        """The same by another clock. `ValueError` where times would have to be rounded."""
        ratio = Fraction(timescale, self.picture.timescale)
        if ratio == 1:
            return self
        samples = tuple(
            replace(sample, duration=_whole(sample.duration * ratio), offset=_whole(sample.offset * ratio))
            for sample in self.samples
        )
        picture = replace(self.picture, timescale=timescale)
        return CodedClip(picture, samples, math.ceil(self.delay * ratio))


def read_coded_clip(path: Path, *, limits: VideoLimits | None = None, field: str = "video") -> CodedClip:
    """Describe the samples of an H.264 video of 8-bit 4:2:0 with square pixels; none is decoded.

    Frames are decoded, in the order of the file, at the times at which frames are shown. So every time is
    that of the file, however irregular, and decoding begins at 0 as well. Raises `BadInput` where the samples
    cannot be used as they are and says why.
    """
    with open_video(path, limits or VideoLimits(), field) as source:
        picture = _format(source, field)
        packets = [packet for packet in source.container.demux(source.stream) if packet.size]
        samples = _samples(packets, field)
        first, decoded = packets[0].pts or 0, packets[0].dts
        return CodedClip(picture, samples, 0 if decoded is None else max(0, first - decoded))


def read_samples(path: Path, *, limits: VideoLimits | None = None, field: str = "video") -> Iterator[bytes]:
    """The bytes of every sample, in decoding order."""
    with open_video(path, limits or VideoLimits(), field) as source:
        for packet in source.container.demux(source.stream):
            if packet.size:
                yield bytes(packet)


def _format(source: VideoSource, field: str) -> PictureFormat:
    stream, time_base = source.stream, source.stream.time_base or Fraction(1)
    refusal = _refusal(stream, source.sample_aspect_ratio, time_base)
    if refusal:
        raise BadInput(f"{field}: {refusal}")
    context = stream.codec_context
    try:
        config = AvcConfig.parse(context.extradata or b"")
    except ValueError as error:
        raise BadInput(f"{field}: {error}") from error
    primaries, transfer, matrix = context.color_primaries, context.color_trc, context.colorspace
    colour = None
    if len(config.sps) == 1 and _UNSPECIFIED not in (primaries, transfer, matrix):
        colour = int(primaries), int(transfer), int(matrix), context.color_range == _FULL_RANGE
    return PictureFormat(stream.width, stream.height, time_base.denominator, config, colour)


def _refusal(stream: VideoStream, pixel_shape: Fraction, time_base: Fraction) -> str:
    context = stream.codec_context
    codec = context.codec.canonical_name
    if codec != "h264":
        return f"its codec is {codec}, not h264"
    if context.pix_fmt not in ("yuv420p", "yuvj420p"):
        return f"its pixels are stored as {context.pix_fmt}, not yuv420p"
    if pixel_shape != 1:
        return f"its pixels are {pixel_shape} as wide as high"
    return "" if time_base.numerator == 1 else f"its clock ticks every {time_base} s"


def _samples(packets: list[Packet[VideoStream]], field: str) -> tuple[Sample, ...]:
    if not packets or not packets[0].is_keyframe:
        raise BadInput(f"{field}: it does not begin with a frame that can be decoded alone")
    if any(packet.is_discard or packet.is_corrupt for packet in packets):
        raise BadInput(f"{field}: some of its frames are damaged or not to be shown")
    times = [packet.pts for packet in packets if packet.pts is not None]
    shown = sorted(set(times))
    if len(shown) < len(packets):
        raise BadInput(f"{field}: some of its frames have no time stamp of their own")
    steps = [after - before for before, after in pairwise(shown)]
    last = _last_shown(packets, times, shown).duration
    steps.append(last or (sorted(steps)[len(steps) // 2] if steps else 1))
    return tuple(
        Sample(packet.size, step, time - decoded, packet.is_keyframe)
        for packet, step, time, decoded in zip(packets, steps, times, shown, strict=True)
    )


def _last_shown(
    packets: list[Packet[VideoStream]], times: list[int], shown: list[int]
) -> Packet[VideoStream]:
    """The sample whose duration is that of the last frame shown.

    Where frames are decoded, in the order of the file, at the times at which frames are shown, as in files of
    ours, durations belong to that order, and not to the frames.
    """
    decoded = [packet.dts for packet in packets]
    first = decoded[0]
    if first is not None and all(
        one is not None and one - first == time - shown[0] for one, time in zip(decoded, shown, strict=True)
    ):
        return packets[-1]
    return packets[times.index(shown[-1])]


def _whole(ticks: Fraction) -> int:
    if ticks.denominator > 1:
        raise ValueError("its times would have to be rounded for the movie's clock")
    return int(ticks)
