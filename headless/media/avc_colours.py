"""Coded frames that do not say what their colours mean are made to say it, in their parameter sets alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from headless.media.mp4_boxes import PictureFormat
from headless.media.video_frame import taken_as_bt709
from headless.media.video_source import VideoLimits, open_video

_BT709, _BT601 = 1, 6
"""Code points of ITU-T H.273; the second are those of 525 lines."""
_UNSPECIFIED = 2
_FULL_RANGE = 2
_START_CODE = b"\x00\x00\x00\x01"


def with_told_colours(picture: PictureFormat, path: Path, limits: VideoLimits, field: str) -> PictureFormat:
    """The format of the frames in `path`, colours told as `read_frames` takes them where they are not told.

    A decoder that finds nothing in a parameter set keeps what an earlier one said: after a jump back from
    later frames of the same stream that would be wrong. Raises `BadInput` for a damaged parameter set.
    """
    with open_video(path, limits, field) as source:
        context = source.stream.codec_context
        if context.colorspace != _UNSPECIFIED:
            return picture
        point = _BT709 if taken_as_bt709(picture.height) else _BT601
        full = context.color_range == _FULL_RANGE
        sps = tuple(_told(one, source.stream, point) for one in picture.config.sps)
    config = replace(picture.config, sps=sps)
    return replace(picture, config=config, colour=(point, point, point, full))


def _told(sps: bytes, stream: VideoStream, point: int) -> bytes:
    description = f"colour_primaries={point}:transfer_characteristics={point}:matrix_coefficients={point}"
    tagging: BitStreamFilterContext = BitStreamFilterContext(f"h264_metadata={description}", stream)
    packet: Packet[Stream] = Packet(len(sps).to_bytes(4, "big") + sps)
    told = b"".join(bytes(one) for one in tagging.filter(packet))
    if told.count(_START_CODE) != 1 or not told.startswith(_START_CODE):
        raise ValueError("a parameter set cannot be read")
    return told.removeprefix(_START_CODE)
