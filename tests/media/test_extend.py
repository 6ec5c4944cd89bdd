from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.packet import Packet
from av.stream import Stream

from headless.errors import BadInput, Cancelled
from headless.media.avc import AvcConfig
from headless.media.coded_clip import read_samples
from headless.media.extend import HeadCopy, copy_head
from headless.media.movie import Movie
from headless.media.video import VideoLimits, VideoWriter, frame_times, probe, read_clip
from headless.segment import Clip, Picture
from tests.media.videos import make_video, number_of, shade

HEAD = 10
"""Frames of the videos that are extended here."""
IRREGULAR = [0, 100, 230, 290, 400, 480, 560, 700, 760, 900]
"""Times of frames in 1600ths of a second; 100 would be steady."""


def picture(number: int) -> Picture:
    """A shade that tells its number, and a colour that BT.601 and BT.709 show differently."""
    shown = shade(number).copy()
    shown[:, 32:] = (200, 40, 60)
    return shown


def head_pictures() -> list[Picture]:
    return [picture(number) for number in range(HEAD)]


def write_clip(path: Path, first: int, frames: int, **options: Any) -> Path:
    with VideoWriter(path, width=64, height=48, **{"fps": 16, **options}) as video:
        for number in range(first, first + frames):
            video.write(picture(number))
    return path


def extended(head: HeadCopy, folder: Path, clips: int = 2) -> tuple[Path, Path, Clip]:
    """The growing and the finished movie of a head and some clips, and the frames of those clips."""
    movie = Movie(folder / "movie.mp4")
    assert movie.append(head.path).frames == head.frames
    paths = [
        write_clip(folder / f"clip{n}.mp4", 20 + 5 * n, 5, parameter_set=head.parameter_set)
        for n in range(clips)
    ]
    for path in paths:
        movie.append(path)
    frames = np.concatenate([read_clip(path) for path in paths])
    return movie.path, movie.finish(folder / "video.mp4", {"comment": "extended"}), frames


def ours(folder: Path) -> Path:
    return write_clip(folder / "head.mp4", 0, HEAD)


def other_quality(folder: Path) -> Path:
    return write_clip(folder / "head.mp4", 0, HEAD, crf=8)


def baseline(folder: Path) -> Path:
    return make_video(
        folder / "head.mp4", head_pictures(), options={"profile": "baseline", "bf": "0", "crf": "20"}
    )


def untagged(folder: Path) -> Path:
    return make_video(folder / "head.mp4", head_pictures())


def tagged_bt601(folder: Path) -> Path:
    return make_video(folder / "head.mp4", head_pictures(), tags=(1, 6, 6, 6))


def full_range(folder: Path) -> Path:
    return make_video(folder / "head.mp4", head_pictures(), pixel_format="yuvj420p")


def open_groups(folder: Path) -> Path:
    return make_video(folder / "head.mp4", head_pictures(), options={"x264-params": "open-gop=1:keyint=4"})


def irregular(folder: Path) -> Path:
    return make_video(folder / "head.mp4", head_pictures(), times=IRREGULAR, time_base=Fraction(1, 1600))


def matroska(folder: Path) -> Path:
    return make_video(folder / "head.mkv", head_pictures(), container="matroska")


COPIED: list[Callable[[Path], Path]] = [
    ours,
    other_quality,
    baseline,
    untagged,
    tagged_bt601,
    full_range,
    open_groups,
    irregular,
    matroska,
]


@pytest.mark.parametrize("made", COPIED, ids=lambda made: str(made.__name__))
def test_a_copied_head_keeps_its_bytes_its_pictures_and_its_times(
    made: Callable[[Path], Path], tmp_path: Path
) -> None:
    video = made(tmp_path)
    head = copy_head(video, tmp_path / "out" / "head.mp4", width=64, height=48, fps=16)
    assert (head.copied, head.frames, head.adjustments) == (True, HEAD, ())
    assert head.parameter_set == (0 if made is ours else 1)
    assert list(read_samples(head.path)) == list(read_samples(video))
    growing, finished, clips = extended(head, tmp_path)
    before = frame_times(video)
    for path in (growing, finished):
        frames = read_clip(path)
        assert np.array_equal(frames[:HEAD], read_clip(video))
        assert np.array_equal(frames[HEAD:], clips)
        times = frame_times(path)
        assert times[:HEAD] == tuple(time - before[0] for time in before)
        assert [time - times[HEAD] for time in times[HEAD:]] == [Fraction(n, 16) for n in range(10)]
        assert 0 < times[HEAD] - times[HEAD - 1] < Fraction(1, 8)


@pytest.mark.parametrize("made", COPIED, ids=lambda made: str(made.__name__))
def test_a_jump_back_shows_the_head_as_before(made: Callable[[Path], Path], tmp_path: Path) -> None:
    """Decoders keep the colours of the last parameter set that told them."""
    head = copy_head(made(tmp_path), tmp_path / "copy.mp4", width=64, height=48, fps=16)
    _, finished, _ = extended(head, tmp_path, clips=1)
    with av.open(str(finished)) as video:
        first = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        video.seek(0)
        again = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert np.array_equal(first, again)
    assert len(first) == HEAD + 5


def test_an_extended_movie_is_extended_again(tmp_path: Path) -> None:
    video, frames, sets = other_quality(tmp_path), HEAD, []
    for turn, crf in enumerate((16, 20, 16)):
        folder = tmp_path / str(turn)
        head = copy_head(video, folder / "head.mp4", width=64, height=48, fps=16, crf=crf)
        assert head.copied
        sets.append(head.parameter_set)
        clip = write_clip(folder / "clip.mp4", 20, 5, crf=crf, parameter_set=head.parameter_set)
        movie = Movie(folder / "movie.mp4")
        movie.append(head.path)
        movie.append(clip)
        last, video = read_clip(video), movie.finish(folder / "video.mp4", {})
        frames += 5
        assert np.array_equal(read_clip(video), np.concatenate([last, read_clip(clip)]))
        assert probe(video).frames == frames
    assert sets == [1, 2, 3]


def in_band(folder: Path) -> Path:
    """As some cameras write: parameter sets before every key frame."""
    path = folder / "head.mp4"
    with av.open(str(baseline(folder / "plain"))) as plain, av.open(str(path), "w") as output:
        source = plain.streams.video[0]
        stream = output.add_stream_from_template(source)
        config = AvcConfig.parse(source.codec_context.extradata or b"")
        sets = b"".join(len(one).to_bytes(4, "big") + one for one in (*config.sps, *config.pps))
        for packet in plain.demux(source):
            if packet.size:
                one: Packet[Stream] = Packet((sets if packet.is_keyframe else b"") + bytes(packet))
                one.pts, one.dts, one.time_base = packet.pts, packet.dts, packet.time_base
                one.is_keyframe, one.stream = packet.is_keyframe, stream
                output.mux(one)
    return path


def turned(folder: Path) -> Path:
    upright = [np.rot90(one) for one in head_pictures()]
    return make_video(folder / "head.mp4", upright, rotation=-90)


def vp9(folder: Path) -> Path:
    return make_video(folder / "head.webm", head_pictures(), container="webm", codec="libvpx-vp9")


def high_bit_depth(folder: Path) -> Path:
    return make_video(folder / "head.mp4", head_pictures(), pixel_format="yuv420p10le")


def wide_pixels(folder: Path) -> Path:
    narrow = [one[:, ::2] for one in head_pictures()]
    return make_video(folder / "head.mp4", narrow, pixel_shape=Fraction(2))


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (vp9, "its codec is vp9, not h264"),
        (high_bit_depth, "its pixels are stored as yuv420p10le, not yuv420p"),
        (wide_pixels, "its pixels are 2 as wide as high"),
        (turned, "it is turned when it is shown"),
        (in_band, "it has parameter sets among its frames"),
    ],
)
def test_what_cannot_be_copied_is_encoded_again_and_reported(
    made: Callable[[Path], Path], why: str, tmp_path: Path
) -> None:
    (tmp_path / "plain").mkdir()
    video = made(tmp_path)
    head = copy_head(video, tmp_path / "copy.mp4", width=64, height=48, fps=16)
    assert (head.copied, head.frames, head.parameter_set) == (False, HEAD, 0)
    (entry,) = head.adjustments
    assert entry.as_json() == {
        "field": "extend_from",
        "requested": "copied as it is",
        "used": "encoded again",
        "why": why,
    }
    _, finished, clips = extended(head, tmp_path)
    frames = read_clip(finished)
    assert np.abs(frames[:HEAD].astype(int) - read_clip(video)).mean() < 1.5
    assert np.array_equal(frames[HEAD:], clips)
    with pytest.raises(BadInput, match=f"extend_from: strict allows no adjustment, .*{why}"):
        copy_head(video, tmp_path / "strict.mp4", width=64, height=48, fps=16, strict=True)
    assert not (tmp_path / "strict.mp4").exists()


def test_an_irregular_video_is_encoded_again_by_its_time_stamps(tmp_path: Path) -> None:
    times = [0, 1, 2, 6, 7, 8, 9, 13, 14, 15]
    video = make_video(
        tmp_path / "head.webm",
        [shade(number) for number in range(HEAD)],
        container="webm",
        codec="libvpx-vp9",
        times=times,
        time_base=Fraction(1, 16),
    )
    head = copy_head(video, tmp_path / "copy.mp4", width=64, height=48, fps=16)
    assert [number_of(one) for one in read_clip(head.path)] == [
        0,
        1,
        2,
        2,
        2,
        2,
        3,
        4,
        5,
        6,
        6,
        6,
        6,
        7,
        8,
        9,
    ]
    assert head.frames == 16


def test_the_last_copied_frame_stays_for_a_tick(tmp_path: Path) -> None:
    """The file shows it for a millisecond, after which no eye would have seen it."""
    video = make_video(
        tmp_path / "head.mp4",
        head_pictures(),
        times=[0, 60, 120, 190, 250, 310, 370, 440, 500, 520],
        time_base=Fraction(1, 1000),
        rate=1000,
    )
    head = copy_head(video, tmp_path / "copy.mp4", width=64, height=48, fps=16)
    assert head.copied
    growing, finished, _ = extended(head, tmp_path, clips=1)
    for path in (growing, finished):
        times = frame_times(path)
        assert times[:HEAD] == frame_times(video)
        assert times[HEAD] - times[HEAD - 1] == Fraction(1, 16)


def test_what_is_encoded_again_ends_with_the_last_frame(tmp_path: Path) -> None:
    """By ticks from the first frame on, an earlier one comes last."""
    video = make_video(
        tmp_path / "head.mp4",
        [shade(number) for number in range(HEAD)],
        codec="mpeg4",
        rate=1000,
        options={"qscale": "2"},
        times=[0, 60, 125, 190, 250, 260, 270, 375, 435, 460],
        time_base=Fraction(1, 1000),
    )
    head = copy_head(video, tmp_path / "copy.mp4", width=64, height=48, fps=16)
    shown = [number_of(one) for one in read_clip(head.path)]
    assert shown[-5:] == [number_of(one) for one in read_clip(video, last=5, fps=16)]
    assert shown[-1] == 9
    assert [number_of(one) for one in read_clip(video, fps=16)][-1] == 7


@pytest.mark.parametrize("limit", [11, 12])
def test_a_last_frame_that_stays_is_encoded_as_often(limit: int, tmp_path: Path) -> None:
    plain = tmp_path / "plain.mp4"
    make_video(plain, head_pictures()[:3], codec="mpeg4", times=[0, 1, 3], options={"qscale": "2"})
    video = tmp_path / "head.mp4"
    with av.open(str(plain)) as source, av.open(str(video), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        ticks = (packets[1].pts or 0) - (packets[0].pts or 0)
        for packet, duration in zip(packets, (1, 2, 9), strict=True):
            packet.duration, packet.stream = duration * ticks, stream
            output.mux(packet)
    limits = VideoLimits(max_frames=limit)
    if limit < 12:
        with pytest.raises(BadInput, match="extend_from: at 16 frames per second it has more than 11 frames"):
            copy_head(video, tmp_path / "copy.mp4", width=64, height=48, fps=16, limits=limits)
        return
    head = copy_head(video, tmp_path / "copy.mp4", width=64, height=48, fps=16, limits=limits)
    shown = read_clip(head.path)
    assert (head.copied, head.frames) == (False, 12)
    near = [min(range(3), key=lambda n: np.abs(picture(n).astype(int) - one).mean()) for one in shown]
    assert near == [0, 1, 1, *(9 * [2])]


def test_sound_is_left_out_and_reported(tmp_path: Path) -> None:
    video = tmp_path / "head.mp4"
    (tmp_path / "plain").mkdir()
    with av.open(str(baseline(tmp_path / "plain"))) as plain, av.open(str(video), "w") as output:
        pictures = output.add_stream_from_template(plain.streams.video[0])
        sound = output.add_stream("aac", rate=44100, layout="mono")
        assert isinstance(sound, av.AudioStream)
        for packet in plain.demux(video=0):
            if packet.size:
                packet.stream = pictures
                output.mux(packet)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 44100
        output.mux([*sound.encode(silence), *sound.encode(None)])
    head = copy_head(video, tmp_path / "copy.mp4", width=64, height=48, fps=16)
    assert head.copied
    assert [entry.used for entry in head.adjustments] == ["without sound"]
    assert not probe(head.path).has_audio
    with pytest.raises(BadInput, match="strict allows no adjustment, and it would be without sound"):
        copy_head(video, tmp_path / "copy.mp4", width=64, height=48, fps=16, strict=True)


def test_another_size_is_refused_with_the_legal_one(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        copy_head(ours(tmp_path), tmp_path / "copy.mp4", width=128, height=96, fps=16)
    assert refused.value.message == (
        "extend_from: the video has 64x48 pixels and is to go on with 128x96; only 128x96 is legal then. "
        "Scale it, or set width and height to its size if both are multiples of 16"
    )


@pytest.mark.parametrize(("rate", "shown"), [(Fraction(24), "24"), (Fraction(30000, 1001), "29.97")])
def test_another_steady_rate_is_refused_with_the_legal_one(
    rate: Fraction, shown: str, tmp_path: Path
) -> None:
    video = make_video(tmp_path / "head.mp4", head_pictures(), rate=rate)
    with pytest.raises(BadInput) as refused:
        copy_head(video, tmp_path / "copy.mp4", width=64, height=48, fps=16, field="other")
    assert refused.value.message == (
        f"other: the video has {shown} frames per second and is to go on with 16; only 16 or a variable rate "
        "is legal then. Convert it, or set fps to its rate if that is a whole number from 1 to 60"
    )


def test_a_single_frame_has_no_rate(tmp_path: Path) -> None:
    video = make_video(tmp_path / "head.mp4", [picture(0)], rate=24)
    head = copy_head(video, tmp_path / "copy.mp4", width=64, height=48, fps=16)
    assert (head.copied, head.frames) == (True, 1)


def test_a_damaged_video_is_refused(tmp_path: Path) -> None:
    video = untagged(tmp_path)
    video.write_bytes(video.read_bytes()[:-100])
    with pytest.raises(BadInput, match=r"extend_from: .*incomplete"):
        copy_head(video, tmp_path / "copy.mp4", width=64, height=48, fps=16)


@pytest.mark.parametrize("made", [untagged, vp9])
def test_a_cancelled_copy_leaves_nothing(made: Callable[[Path], Path], tmp_path: Path) -> None:
    video, calls = made(tmp_path), [0]

    def check() -> None:
        calls[0] += 1
        if calls[0] == HEAD + 5:
            raise Cancelled("the user cancelled")

    with pytest.raises(Cancelled):
        copy_head(video, tmp_path / "out" / "copy.mp4", width=64, height=48, fps=16, check=check)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_movie_of_two_codings_leaves_colours_to_the_parameter_sets(tmp_path: Path) -> None:
    """A player that believes the container would show one part in the colours of the other."""
    head = copy_head(tagged_bt601(tmp_path), tmp_path / "copy.mp4", width=64, height=48, fps=16)
    growing, finished, _ = extended(head, tmp_path, clips=1)
    assert b"colr" not in growing.read_bytes()
    assert b"colr" not in finished.read_bytes()
    alone = copy_head(ours(tmp_path), tmp_path / "ours.mp4", width=64, height=48, fps=16)
    assert b"colr" in alone.path.read_bytes()


def hidden_frames(folder: Path) -> Path:
    """An edit list leaves out the first frames, which the others need."""
    path = folder / "head.mp4"
    with av.open(str(baseline(folder / "plain"))) as plain, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(plain.streams.video[0])
        for packet in plain.demux(video=0):
            if packet.size and packet.pts is not None and packet.dts is not None:
                packet.pts, packet.dts = packet.pts - 3 * 1024, packet.dts - 3 * 1024
                packet.stream = stream
                output.mux(packet)
    return path


def test_frames_that_are_not_shown_are_not_copied(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    video = hidden_frames(tmp_path)
    shown = read_clip(video)
    head = copy_head(video, tmp_path / "copy.mp4", width=64, height=48, fps=16)
    assert (head.copied, head.frames) == (False, len(shown))
    assert head.adjustments[0].why.startswith("some of its")
