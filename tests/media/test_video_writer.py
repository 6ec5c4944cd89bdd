from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from headless.media.video import VideoWriter, probe, read_clip, read_metadata
from headless.segment import Picture
from tests.media.own_process import run_program
from tests.media.videos import number_of, shade


def write(
    path: Path,
    pictures: list[Picture],
    fps: float | Fraction = 16,
    crf: float = 16,
    metadata: dict[str, str] | None = None,
) -> Path:
    height, width = pictures[0].shape[:2]
    with VideoWriter(path, width=width, height=height, fps=fps, crf=crf, metadata=metadata) as video:
        for picture in pictures:
            video.write(picture)
        assert video.frames == len(pictures)
    return path


def smooth(width: int = 128, height: int = 96) -> Picture:
    """Soft colours of every hue."""
    x, y = np.meshgrid(np.linspace(0, 6, width), np.linspace(0, 5, height))
    waves = [127.5 + 120 * np.sin(x + phase) * np.cos(y - phase) for phase in (0, 2, 4)]
    return np.stack(waves, axis=-1).astype(np.uint8)


Plane = npt.NDArray[np.float64]


def bt709(picture: Picture) -> tuple[Plane, Plane, Plane]:
    """Limited-range Y, Cb, Cr by ITU-R BT.709-6, item 3; chroma as the mean of 2x2 pixels."""
    red, green, blue = np.moveaxis(picture.astype(np.float64) / 255, -1, 0)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def chroma(difference: Plane) -> Plane:
        height, width = difference.shape
        mean: Plane = difference.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
        return 128 + 224 * mean

    return 16 + 219 * luma, chroma((blue - luma) / 1.8556), chroma((red - luma) / 1.5748)


def test_frames_come_back_in_number_order_and_time(tmp_path: Path) -> None:
    path = write(tmp_path / "out" / "video.mp4", [shade(index) for index in range(21)])
    info = probe(path)
    assert (info.width, info.height, info.fps, info.frames) == (64, 48, Fraction(16), 21)
    assert info.duration == 21 / 16
    assert (info.codec, info.pixel_format, info.has_audio) == ("h264", "yuv420p", False)
    assert [number_of(picture) for picture in read_clip(path)] == list(range(21))
    assert [file.name for file in path.parent.iterdir()] == ["video.mp4"]
    with av.open(str(path)) as video:
        assert video.duration == round(21 / 16 * 1_000_000)
        assert video.streams.video[0].frames == 21
        assert [frame.time for frame in video.decode(video=0)] == [index / 16 for index in range(21)]


@pytest.mark.parametrize("fps", [24, 23.976, 29.97, 16.0, Fraction(25), 0.5, 120])
def test_frame_rates(fps: float | Fraction, tmp_path: Path) -> None:
    info = probe(write(tmp_path / "video.mp4", [shade(index) for index in range(5)], fps))
    assert float(info.fps) == pytest.approx(float(fps), rel=1e-4)
    assert info.duration == pytest.approx(5 / float(fps), rel=1e-3)


def test_the_header_comes_before_the_pictures(tmp_path: Path) -> None:
    data = write(tmp_path / "video.mp4", [shade(index) for index in range(5)]).read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_tagged_and_converted_as_bt709_in_limited_range(tmp_path: Path) -> None:
    """Lossless, so that every stored sample can be compared with the standard's formula."""
    picture = smooth()
    path = write(tmp_path / "video.mp4", [picture], crf=0)
    with av.open(str(path)) as video:
        context = video.streams.video[0].codec_context
        assert context.pix_fmt == "yuv420p"
        tags = (context.color_range, context.color_primaries, context.color_trc, context.colorspace)
        assert tags == (1, 1, 1, 1)
        stored = np.asarray(next(video.decode(video=0)).to_ndarray(), np.float64)
    height, width = picture.shape[:2]
    planes = np.split(stored.reshape(-1), [height * width, height * width * 5 // 4])
    for plane, exact in zip(planes, bt709(picture), strict=True):
        difference = plane.reshape(exact.shape) - exact
        assert np.abs(difference).max() < 1.1
        assert abs(difference.mean()) < 0.1


def test_no_colour_drifts_through_writing_and_reading(tmp_path: Path) -> None:
    """A continued clip is read and written again and again. A bias of one level, or chroma that moves by half
    a pixel, would be seen after a few times; the first time alone may lose anything."""
    first = smooth()
    picture = once = read_clip(write(tmp_path / "first.mp4", [first], crf=0))[0]
    for generation in range(3):
        picture = read_clip(write(tmp_path / f"{generation}.mp4", [picture], crf=0))[0]
    lost, later = picture.astype(int) - first, picture.astype(int) - once
    assert np.abs(lost).mean() < 0.7
    assert np.abs(lost.mean(axis=(0, 1))).max() < 0.05
    assert np.abs(later).mean() < 0.01


@pytest.mark.parametrize(
    "colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (128, 64, 32)]
)
def test_flat_colours_survive(colour: tuple[int, int, int], tmp_path: Path) -> None:
    picture = np.full((48, 64, 3), colour, np.uint8)
    clip = read_clip(write(tmp_path / "video.mp4", [picture]))
    assert np.abs(clip[0].astype(int) - picture).max() <= 3


def test_metadata_of_any_size_and_script_is_read_back(tmp_path: Path) -> None:
    tags = {
        "headless": json.dumps({"prompt": 'grün 猫 "x" ; = \n', "seed": 2**53, "long": "a" * 60_000}),
        "comment": "Größe",
        "title": "a=b;c\\d",
    }
    found = read_metadata(write(tmp_path / "video.mp4", [shade(0)], metadata=tags))
    assert {key: found[key] for key in tags} == tags


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    frames = [smooth(), smooth()[::-1], smooth()[:, ::-1]] * 4
    one, two = (write(tmp_path / name, frames).read_bytes() for name in ("one.mp4", "two.mp4"))
    assert one == two


@pytest.mark.parametrize(
    "frame",
    [shade(0, 64, 46), shade(0)[..., :2], shade(0).astype(np.float32), shade(0)[..., 0]],
)
def test_a_frame_of_another_shape_is_refused_and_nothing_is_left(frame: Picture, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with pytest.raises(ValueError, match=r"not uint8 \(48, 64, 3\)"):
        write(path, [shade(0), frame])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("width", "height", "fps"), [(63, 48, 16), (64, 47, 16), (0, 0, 16), (64, 48, 0)])
def test_impossible_videos_are_refused(width: int, height: int, fps: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        VideoWriter(tmp_path / "video.mp4", width=width, height=height, fps=fps)


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"no frame was written to video\.mp4"),
        VideoWriter(tmp_path / "video.mp4", width=64, height=48, fps=16),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = write(tmp_path / "video.mp4", [shade(1)])
    old = path.read_bytes()
    with pytest.raises(ZeroDivisionError), VideoWriter(path, width=64, height=48, fps=16) as video:
        video.write(np.full((48, 64, 3), 1 // (video.frames * 0), np.uint8))
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_views_and_other_memory_layouts_are_written_as_they_look(tmp_path: Path) -> None:
    picture = smooth(64, 48)
    for view in (np.asfortranarray(picture), np.repeat(picture, 2, axis=0)[::2], picture[::-1][::-1]):
        clip = read_clip(write(tmp_path / "video.mp4", [view], crf=1))
        assert np.abs(clip[0].astype(int) - picture).mean() < 2


@pytest.mark.parametrize("missing", [1.0, 0.5, 0.001])
def test_a_full_disk_leaves_nothing(missing: float, tmp_path: Path) -> None:
    """A file size limit stands in for the full disk, in a process of its own; the last is met at the end."""
    program = """
        import resource, sys
        from pathlib import Path
        import numpy as np
        from headless.errors import DiskFull
        from headless.media.video import VideoWriter
        path, missing = Path(sys.argv[1]), float(sys.argv[2])
        def write():
            noise = np.random.default_rng(0)
            with VideoWriter(path, width=128, height=96, fps=16, crf=1) as video:
                for _ in range(6):
                    video.write(noise.integers(0, 256, (96, 128, 3), dtype=np.uint8))
        write()
        limit = int(path.stat().st_size * (1 - missing))
        path.unlink()
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            write()
        except DiskFull as error:
            print(error.message)
        """
    folder = tmp_path / "out"
    assert run_program(program, folder / "video.mp4", missing).startswith("no room to write video.mp4 in ")
    assert list(folder.iterdir()) == []
