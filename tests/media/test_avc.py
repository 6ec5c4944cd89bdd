"""Parameter sets: what a stranger's file may say, and how two codings share a stream."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import pytest

from headless.media.avc import AvcConfig, carried_sets, nal_units, pps_id, sps_id
from headless.media.coded_clip import read_coded_clip
from headless.media.video import VideoWriter
from tests.media.videos import make_video, shade


def sps(number: int) -> bytes:
    """Only its id is right: ue(number) after four bytes."""
    return bytes((0x67, 100, 0, 10)) + golomb(number)


def pps(number: int) -> bytes:
    return b"\x68" + golomb(number)


def golomb(number: int) -> bytes:
    digits = f"{number + 1:b}"
    bits = "0" * (len(digits) - 1) + digits + "1"
    return int(bits.ljust(32, "0"), 2).to_bytes(4, "big")


def config(*numbers: int, level: int = 10) -> AvcConfig:
    return AvcConfig(100, 0, level, tuple(map(sps, numbers)), tuple(map(pps, numbers)))


@pytest.mark.parametrize("number", [0, 1, 2, 14, 31])
def test_ids_are_read(number: int) -> None:
    assert (sps_id(sps(number)), pps_id(pps(number))) == (number, number)


def test_what_encoders_write_is_read_and_written_back(tmp_path: Path) -> None:
    for options in ({"profile": "baseline"}, {"profile": "main"}, {"x264-params": "sps-id=7"}):
        path = make_video(tmp_path / "video.mp4", [shade(0)], options=options)
        with av.open(str(path)) as video:
            data = video.streams.video[0].codec_context.extradata or b""
        found = AvcConfig.parse(data)
        assert found.to_bytes() == data
        assert sps_id(found.sps[0]) == pps_id(found.pps[0]) == (7 if "x264-params" in options else 0)


def test_two_sets_of_sets() -> None:
    both = config(0, level=10).merged(config(1, level=31))
    assert (both.sps, both.pps, both.level) == ((sps(0), sps(1)), (pps(0), pps(1)), 31)
    assert both.holds(config(0))
    assert both.holds(config(1))
    assert not both.holds(config(2))
    assert both.merged(config(1)) == both
    assert AvcConfig.parse(both.to_bytes()) == both
    assert config(0, 1, 3).free_id() == 2
    assert replace(config(1), pps=(pps(0),)).free_id() == 2, "an SPS and a PPS of ours have one number"


def test_sets_that_cannot_stand_together() -> None:
    other = replace(config(0), sps=(sps(0) + b"\x01",))
    with pytest.raises(ValueError, match="two parameter sets that differ have one id"):
        config(0).merged(other)
    with pytest.raises(ValueError, match="no id is left"):
        config(*range(32)).free_id()
    with pytest.raises(ValueError, match="too many parameter sets"):
        config(*range(31)).merged(config(31))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 20,
        b"\x01",
        b"\x01\x64\x00\x0a\xfe\xe1\x00\x02gg\x01\x00\x02hh",
        config(0).to_bytes()[:12],
    ],
)
def test_what_is_no_decoder_configuration_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"no lengths of 4 bytes|is cut short"):
        AvcConfig.parse(data)


def test_a_cut_parameter_set_is_refused() -> None:
    with pytest.raises(ValueError, match="a parameter set is cut short"):
        sps_id(b"\x67\x64\x00\x0a")
    with pytest.raises(ValueError, match="a parameter set is cut short"):
        pps_id(b"\x68\x00\x00\x00")


def test_nal_units() -> None:
    sample = b"\x00\x00\x00\x02\x67\x01\x00\x00\x00\x01\x65\x00\x00\x00\x01\x68"
    assert list(nal_units(sample)) == [b"\x67\x01", b"\x65", b"\x68"]
    assert carried_sets(sample) == (b"\x67\x01", b"\x68")
    for broken in (sample[:-1], sample + b"\x00", b"\x00\x00\x00\x00" + sample):
        with pytest.raises(ValueError, match="not made of NAL units"):
            list(nal_units(broken))


def test_colours_are_told_once_or_by_each_parameter_set(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "ours.mp4", width=64, height=48, fps=16) as video:
        video.write(shade(0))
    assert read_coded_clip(tmp_path / "ours.mp4").picture.colour == (1, 1, 1, False)
    untagged = make_video(tmp_path / "untagged.mp4", [shade(0)])
    assert read_coded_clip(untagged).picture.colour is None
