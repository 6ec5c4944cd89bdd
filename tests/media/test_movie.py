from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from headless.errors import BadInput
from headless.media.avc import AvcConfig, pps_id, sps_id
from headless.media.movie import Movie
from headless.media.mp4_boxes import PictureFormat, Sample, top_level_boxes, whole_header
from headless.media.video import VideoWriter, probe, read_clip, read_metadata
from headless.segment import Clip, Picture
from tests.media.own_process import run_program
from tests.media.videos import make_video, number_of, shade

LENGTHS = (12, 1, 5, 9)
"""Of clips with and without frames that refer to later ones."""


def moving(first: int, frames: int, width: int = 64, height: int = 48) -> list[Picture]:
    """Noise that moves: every frame is another."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return [np.roll(noise, 3 * number, axis=1) for number in range(first, first + frames)]


def write_clip(path: Path, pictures: Sequence[Picture], fps: float | Fraction = 16, crf: float = 16) -> Path:
    height, width = pictures[0].shape[:2]
    with VideoWriter(path, width=width, height=height, fps=fps, crf=crf) as video:
        for picture in pictures:
            video.write(picture)
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    starts = itertools.accumulate(LENGTHS, initial=0)
    return [
        write_clip(folder / f"{number}.mp4", moving(start, length))
        for number, (start, length) in enumerate(zip(starts, LENGTHS, strict=False))
    ]


@pytest.fixture(scope="module")
def pictures(clips: list[Path]) -> Clip:
    """What the clips decode to, each alone."""
    return np.concatenate([read_clip(clip) for clip in clips])


def movie_of(path: Path, clips: Sequence[Path]) -> Movie:
    movie = Movie(path)
    for clip in clips:
        movie.append(clip)
    return movie


def boxes(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return [name for name, _, _ in top_level_boxes(file, path.stat().st_size)]


def frame_times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as video:
        return [(frame.pts or 0) * (frame.time_base or Fraction(0)) for frame in video.decode(video=0)]


def test_after_every_clip_it_plays_with_the_very_frames_of_the_clips(
    clips: list[Path], pictures: Clip, tmp_path: Path
) -> None:
    movie, frames = Movie(tmp_path / "movie.mp4"), 0
    for index, clip in enumerate(clips):
        added = movie.append(clip)
        assert (added.index, added.first_frame, added.frames) == (index, frames, LENGTHS[index])
        frames += LENGTHS[index]
        assert movie.frames == probe(movie.path).frames == frames
        assert np.array_equal(read_clip(movie.path), pictures[:frames])
        assert frame_times(movie.path) == [Fraction(number, 16) for number in range(frames)]
    with av.open(str(clips[0])) as video:
        packets = [packet for packet in video.demux(video=0) if packet.size]
    shown = [packet.pts or 0 for packet in packets]
    assert shown != sorted(shown), "the clips should have B-frames"


@pytest.mark.parametrize("fps", [16, 25, Fraction(24000, 1001), 0.5, 60])
def test_the_finished_file_is_an_ordinary_one(fps: float | Fraction, tmp_path: Path) -> None:
    clips = [write_clip(tmp_path / f"{n}.mp4", [shade(6 * n + k) for k in range(6)], fps) for n in range(3)]
    movie = movie_of(tmp_path / "movie.mp4", clips)
    told = {"headless": '{"prompt": "grün 猫"}' + " " * 70_000, "comment": "a model, seed 1"}
    path = movie.finish(tmp_path / "out" / "video.mp4", told)
    assert boxes(path) == [b"ftyp", b"moov", b"mdat"]
    assert [number_of(picture) for picture in read_clip(path)] == list(range(18))
    rate = Fraction(fps).limit_denominator(1001)
    for file in (path, movie.path):
        assert frame_times(file) == [number / rate for number in range(18)]
        assert probe(file).fps == pytest.approx(rate)
    with av.open(str(path)) as video, av.open(str(clips[0])) as clip:
        context, of_clip = video.streams.video[0].codec_context, clip.streams.video[0].codec_context
        assert (context.color_range, context.color_primaries, context.color_trc, context.colorspace) == (
            of_clip.color_range,
            of_clip.color_primaries,
            of_clip.color_trc,
            of_clip.colorspace,
        )
        assert context.extradata == of_clip.extradata
        assert video.duration == pytest.approx(18 / rate * 1_000_000, abs=1)
        assert video.streams.video[0].frames == 18
    found = read_metadata(path)
    assert {name: found[name] for name in told} == told
    assert [file.name for file in path.parent.iterdir()] == ["video.mp4"]


def test_the_finished_file_has_the_frames_of_the_clips(
    clips: list[Path], pictures: Clip, tmp_path: Path
) -> None:
    movie = movie_of(tmp_path / "movie.mp4", clips)
    grown = movie.path.read_bytes()
    assert np.array_equal(read_clip(movie.finish(tmp_path / "video.mp4", {})), pictures)
    assert movie.path.read_bytes() == grown, "what is finished may go on"
    movie.append(clips[0])
    assert movie.frames == len(pictures) + LENGTHS[0]


def test_a_movie_of_one_clip_finishes_like_the_clip(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", moving(0, 9))
    path = movie_of(tmp_path / "movie.mp4", [clip]).finish(tmp_path / "video.mp4", {})
    assert np.array_equal(read_clip(path), read_clip(clip))
    assert frame_times(path) == frame_times(clip)
    one, other = probe(path), probe(clip)
    assert one == other


def test_opened_anew_for_every_clip_it_has_the_same_bytes(clips: list[Path], tmp_path: Path) -> None:
    whole = movie_of(tmp_path / "whole.mp4", clips)
    whole.finish(tmp_path / "a.mp4", {"comment": "x"})
    path = tmp_path / "movie.mp4"
    for clip in clips:
        Movie(path).append(clip)
    again = Movie(path)
    assert path.read_bytes() == whole.path.read_bytes()
    assert (again.clips, again.frames) == (whole.clips, whole.frames)
    again.finish(tmp_path / "b.mp4", {"comment": "x"})
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_what_a_killed_process_left_half_is_cut_off(clips: list[Path], tmp_path: Path) -> None:
    whole = movie_of(tmp_path / "movie.mp4", clips[:3])
    data = whole.path.read_bytes()
    whole.append(clips[3])
    complete = whole.path.read_bytes()
    path = tmp_path / "cut.mp4"
    for length in (*range(len(data), len(complete), 331), len(complete) - 1):
        path.write_bytes(complete[:length])
        movie = Movie(path)
        assert len(movie.clips) == 3
        assert path.stat().st_size == len(data)
        movie.append(clips[3])
        assert path.read_bytes() == complete


def test_a_first_clip_that_was_left_half_is_begun_anew(clips: list[Path], tmp_path: Path) -> None:
    complete = movie_of(tmp_path / "movie.mp4", clips[:1]).path.read_bytes()
    path = tmp_path / "cut.mp4"
    for length in (0, 1, 20, 40, 700, len(complete) - 1):
        path.write_bytes(complete[:length])
        movie = Movie(path)
        assert (movie.clips, movie.frames) == ((), 0)
        movie.append(clips[0])
        assert path.read_bytes() == complete


@pytest.mark.parametrize("where", [b"stts", b"trun", b"headless clip", b"tfhd", b"mvhd"])
def test_a_damaged_movie_is_refused_and_left_alone(where: bytes, clips: list[Path], tmp_path: Path) -> None:
    path = movie_of(tmp_path / "movie.mp4", clips[:2]).path
    data = bytearray(path.read_bytes())
    data[data.index(where) + len(where) + 2] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"movie\.mp4 is no movie that grows, or is damaged"):
        Movie(path)
    assert path.read_bytes() == data


def test_another_file_is_refused_and_left_alone(clips: list[Path], tmp_path: Path) -> None:
    for data in (clips[0].read_bytes(), b"<html>" * 100):
        path = tmp_path / "movie.mp4"
        path.write_bytes(data)
        with pytest.raises(BadInput, match="no movie that grows"):
            Movie(path)
        assert path.read_bytes() == data


def test_clips_that_do_not_fit_are_refused_and_change_nothing(clips: list[Path], tmp_path: Path) -> None:
    movie = movie_of(tmp_path / "movie.mp4", clips[:1])
    data = movie.path.read_bytes()
    larger = write_clip(tmp_path / "larger.mp4", moving(0, 2, 80, 48))
    foreign = make_video(tmp_path / "foreign.mp4", moving(0, 2), options={"bf": "0", "profile": "baseline"})
    faster = write_clip(tmp_path / "faster.mp4", moving(0, 2), 17)
    with pytest.raises(ValueError, match=r"larger\.mp4 has 80x48 pixels, the movie 64x48"):
        movie.append(larger)
    for clip in (foreign, faster):
        with pytest.raises(ValueError, match="needs parameter sets that the movie's first clip has not"):
            movie.append(clip)
    other = make_video(tmp_path / "other.webm", moving(0, 2), container="webm", codec="libvpx-vp9")
    with pytest.raises(BadInput, match="its codec is vp9, not h264"):
        movie.append(other)
    assert movie.path.read_bytes() == data
    assert np.array_equal(read_clip(movie.path), read_clip(clips[0]))


def test_nothing_to_finish(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no clip was appended to movie\.mp4"):
        Movie(tmp_path / "movie.mp4").finish(tmp_path / "video.mp4", {})
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_stays_as_it_was(clips: list[Path], pictures: Clip, tmp_path: Path) -> None:
    movie = movie_of(tmp_path / "movie.mp4", clips[:2])
    copy = movie.snapshot(tmp_path / "movie-0002.mp4")
    movie.append(clips[2])
    assert np.array_equal(read_clip(copy), pictures[:13])
    resumed = Movie(copy)
    assert resumed.clips == movie.clips[:2]
    resumed.append(clips[2])
    assert copy.read_bytes() == movie.path.read_bytes()


def test_a_snapshot_taken_while_a_clip_is_written_has_none_of_it(clips: list[Path], tmp_path: Path) -> None:
    movie = movie_of(tmp_path / "movie.mp4", clips[:2])
    before = movie.path.read_bytes()
    with movie.path.open("ab") as file:
        file.write(b"half a fragment")
    assert movie.snapshot(tmp_path / "copy.mp4").read_bytes() == before


def written_by_this_thread() -> int:
    """Bytes that the system calls of this thread have written so far."""
    lines = dict(line.split(": ") for line in Path("/proc/thread-self/io").read_text().splitlines())
    return int(lines["wchar"])


def test_writing_is_linear(clips: list[Path], tmp_path: Path) -> None:
    """Each clip costs its own bytes and no more, the last as little as the first; so does the end."""
    clip = clips[0]
    size = clip.stat().st_size
    movie = Movie(tmp_path / "movie.mp4")
    costs = []
    for _ in range(40):
        before = written_by_this_thread()
        movie.append(clip)
        costs.append(written_by_this_thread() - before)
    assert set(costs[1:]) <= {costs[1] + digits for digits in (0, 1)}, "the number of a clip has digits"
    assert max(costs) < size + 1000
    before = written_by_this_thread()
    movie.finish(tmp_path / "video.mp4", {})
    assert written_by_this_thread() - before == (tmp_path / "video.mp4").stat().st_size < 40 * size + 1000


def test_long_clips_lie_in_fragments_that_begin_with_key_frames(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [shade(number // 8) for number in range(300)])
    movie = movie_of(tmp_path / "movie.mp4", [clip, clip])
    assert boxes(movie.path).count(b"moof") == 4
    for path in (movie.path, movie.finish(tmp_path / "video.mp4", {})):
        with av.open(str(path)) as video:
            packets = [packet for packet in video.demux(video=0) if packet.size]
            assert [n for n, packet in enumerate(packets) if packet.is_keyframe] == [0, 250, 300, 550]
            video.seek(round(400 / 16 * 1_000_000))
            assert next(video.decode(video=0)).pts == 300 * 1024
        assert [number_of(picture) for picture in read_clip(path)] == [n // 8 for n in range(300)] * 2


def test_more_than_four_gibibytes_have_wide_offsets() -> None:
    picture = PictureFormat(64, 48, 16, AvcConfig(100, 0, 10, (b"\x67",), (b"\x68",)), None)
    samples = [Sample(2**30, 1, 0, True)] * 5
    header = whole_header(picture, samples, [2, 2, 1], 1000, {})
    at = header.index(b"co64") + 12
    offsets = [int.from_bytes(header[at + 8 * n : at + 8 * n + 8], "big") for n in range(3)]
    assert offsets == [1000, 1000 + 2**31, 1000 + 2**32]
    assert b"stco" not in header
    assert len(whole_header(picture, samples, [2, 2, 1], 2**40, {})) == len(header)


def test_a_full_disk_leaves_the_movie_as_it_was(clips: list[Path], tmp_path: Path) -> None:
    program = """
        import resource, sys
        from pathlib import Path
        from headless.errors import DiskFull
        from headless.media.movie import Movie
        folder, clips = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
        movie = Movie(folder / "movie.mp4")
        movie.append(clips[0])
        before = movie.path.read_bytes()
        def limited(size, do):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            try:
                do()
            except DiskFull as error:
                print(error.message.split(" in ")[0])
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        for room in (0, 50, 300):
            limited(len(before) + room, lambda: movie.append(clips[1]))
            assert movie.path.read_bytes() == before and movie.frames == 12
        limited(500, lambda: movie.finish(folder / "video.mp4", {}))
        limited(500, lambda: movie.snapshot(folder / "copy.mp4"))
        limited(500, lambda: Movie(folder / "new.mp4").append(clips[0]))
        movie.append(clips[1])
        print(movie.frames, sorted(file.name for file in folder.iterdir()))
        """
    told = run_program(program, tmp_path, *clips[:2]).splitlines()
    assert told[:3] == ["no room to write movie.mp4"] * 3
    assert told[3:6] == [f"no room to write {name}.mp4" for name in ("video", "copy", "new")]
    assert told[6] == "13 ['movie.mp4', 'new.mp4']"


def test_clips_with_their_own_parameter_sets(tmp_path: Path) -> None:
    """What `parameter_set` is for: two codings in one stream."""
    plain = write_clip(tmp_path / "plain.mp4", moving(0, 5))
    for number in (1, 31):
        path = tmp_path / f"{number}.mp4"
        with VideoWriter(path, width=64, height=48, fps=16, parameter_set=number) as video:
            for picture in moving(0, 5):
                video.write(picture)
        assert np.array_equal(read_clip(path), read_clip(plain))
        with av.open(str(path)) as file:
            extradata = file.streams.video[0].codec_context.extradata or b""
        config = AvcConfig.parse(extradata)
        assert [sps_id(config.sps[0]), pps_id(config.pps[0])] == [number, number]
        assert config.to_bytes() == extradata
