from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Generator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import OutputContainer
from av.video.stream import VideoStream

from headless.errors import BadInput, Cancelled
from headless.media.video import (
    VideoLimits,
    VideoWriter,
    frame_times,
    probe,
    read_clip,
    read_frames,
    read_metadata,
)
from headless.media.video_source import open_video, refuse_other_files
from headless.segment import Picture
from tests.media.videos import corners, make_audio, make_video, number_of, shade


def numbers(
    path: Path,
    *,
    fps: float | Fraction | None = None,
    last: int | None = None,
    limits: VideoLimits | None = None,
) -> list[int]:
    return [number_of(picture) for picture in read_frames(path, limits=limits, last=last, fps=fps)]


def shades(count: int) -> list[Picture]:
    return [shade(index) for index in range(count)]


@pytest.mark.parametrize(
    ("codec", "container", "pixel_format", "name"),
    [
        ("libx264", "mp4", "yuv420p", "h264"),
        ("libx264", "mov", "yuv444p", "h264"),
        ("libx264", "matroska", "yuv420p10le", "h264"),
        ("libvpx", "webm", "yuv420p", "vp8"),
        ("libvpx-vp9", "webm", "yuv420p", "vp9"),
        ("mpeg4", "mp4", "yuv420p", "mpeg4"),
        ("prores_ks", "mov", "yuv422p10le", "prores"),
        ("mjpeg", "mov", "yuvj420p", "mjpeg"),
        ("ffv1", "matroska", "bgr0", "ffv1"),
    ],
)
def test_every_legal_codec_is_read(
    codec: str, container: str, pixel_format: str, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "video"
    make_video(path, shades(12), codec=codec, container=container, pixel_format=pixel_format, options={})
    info = probe(path)
    assert (info.width, info.height, info.fps, info.frames, info.codec) == (64, 48, Fraction(16), 12, name)
    assert info.duration == pytest.approx(0.75, abs=0.07)
    assert numbers(path) == list(range(12))
    assert numbers(path, last=3) == [9, 10, 11]
    assert "encoder" in {key.lower() for key in read_metadata(path)}


def test_a_clip_is_one_array(tmp_path: Path) -> None:
    clip = read_clip(make_video(tmp_path / "video.mp4", shades(5)), last=4)
    assert clip.shape == (4, 48, 64, 3)
    assert clip.dtype == np.uint8
    assert clip.flags.c_contiguous


def test_asking_for_more_than_there_is_gives_all(tmp_path: Path) -> None:
    assert numbers(make_video(tmp_path / "video.mp4", shades(3)), last=99) == [0, 1, 2]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_turned_and_mirrored_videos_come_out_upright(rotation: int, mirrored: bool, tmp_path: Path) -> None:
    """The rotation is counter-clockwise, and the mirror comes after it."""
    path = tmp_path / "video.mp4"
    make_video(path, [corners()] * 2, rotation=rotation, mirrored=mirrored)
    expected = np.rot90(corners(), rotation // 90)
    stored_mirrored = np.rot90(corners()[:, ::-1], rotation // 90)
    picture = next(read_frames(path))
    info = probe(path)
    assert picture.shape == expected.shape
    assert (info.height, info.width) == expected.shape[:2]
    assert info.turned == bool(rotation or mirrored)
    candidates = [stored_mirrored, expected[:, ::-1]] if mirrored else [expected]
    assert any(looks_like(picture, candidate) for candidate in candidates)


def looks_like(picture: Picture, expected: Picture) -> bool:
    height, width = picture.shape[:2]
    for row, column in itertools.product((height // 4, 3 * height // 4), (width // 4, 3 * width // 4)):
        if np.abs(picture[row, column].astype(int) - expected[row, column]).max() > 12:
            return False
    return True


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((0, 1, -1, 0), lambda picture: np.rot90(picture, -1)),
        ((0, -1, 1, 0), np.rot90),
        ((-1, 0, 0, -1), lambda picture: picture[::-1, ::-1]),
        ((-1, 0, 0, 1), lambda picture: picture[:, ::-1]),
        ((1, 0, 0, -1), lambda picture: picture[::-1]),
        ((0, 1, 1, 0), lambda picture: picture.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda picture: picture.transpose(1, 0, 2)[::-1, ::-1]),
    ],
)
def test_the_display_matrix_means_what_the_standard_says(
    matrix: tuple[int, int, int, int], turn: Callable[[Picture], Picture], tmp_path: Path
) -> None:
    """Column p and row q go to column a p + c q, row b p + d q. Phones held upright write (0, 1, -1, 0)."""
    path = make_video(tmp_path / "video.mp4", [corners()] * 2)
    a, b, c, d = (value << 16 for value in matrix)
    unit = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    data = path.read_bytes()
    at = data.rindex(unit, 0, data.index(b"mdia", data.index(b"moov")))
    turned = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data[:at] + turned + data[at + len(unit) :])
    picture = next(read_frames(path))
    expected = turn(corners())
    assert picture.shape == expected.shape
    assert looks_like(picture, expected)


def test_an_odd_angle_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.mp4", shades(2), rotation=30)
    with pytest.raises(BadInput, match="odd angle; only quarter turns and flips are legal"):
        probe(path)


@pytest.mark.parametrize(
    ("shape", "size"), [(Fraction(2), (128, 48)), (Fraction(4, 3), (85, 48)), (Fraction(1, 2), (64, 96))]
)
def test_pixels_that_are_not_square_are_made_so(
    shape: Fraction, size: tuple[int, int], tmp_path: Path
) -> None:
    path = make_video(tmp_path / "video.mp4", [corners()] * 2, pixel_shape=shape)
    picture = next(read_frames(path))
    assert (picture.shape[1], picture.shape[0]) == size
    info = probe(path)
    assert (info.width, info.height) == size


def test_absurd_pixels_are_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.mp4", shades(2), pixel_shape=Fraction(9))
    with pytest.raises(BadInput, match="9 as wide as high; 1/4 to 4 is legal"):
        probe(path)


def test_odd_dimensions_are_read(tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.mp4", [shade(3, 85, 47)] * 2, pixel_format="yuv444p")
    assert next(read_frames(path)).shape == (47, 85, 3)


def test_a_variable_rate_is_sampled_by_time(tmp_path: Path) -> None:
    """Frames shown at 0, 1/8, 2/8, 6/8 and 7/8 s: at 8 fps the third stays for four ticks."""
    path = tmp_path / "video.mp4"
    make_video(path, shades(5), times=[0, 1000, 2000, 6000, 7000], time_base=Fraction(1, 8000), rate=8)
    assert numbers(path) == [0, 1, 2, 3, 4]
    assert numbers(path, fps=8) == [0, 1, 2, 2, 2, 2, 3, 4]
    assert numbers(path, fps=4) == [1, 2, 2, 4]
    assert numbers(path, fps=16)[:6] == [0, 0, 1, 1, 2, 2]
    assert numbers(path, fps=8, last=3) == [2, 3, 4]


def from_the_end(times: tuple[Fraction, ...], last: int, fps: int) -> list[int]:
    """What is on screen at each tick, counted back from the last frame, by looking at every frame."""
    found: list[int] = []
    for back in range(last):
        tick = times[-1] - Fraction(back, fps)
        due = [n for n, time in enumerate(times) if time <= tick + Fraction(1, 2 * fps)]
        started = [n for n in due if times[n] <= tick]
        if due:
            shown = started[-1:] or due[:1]
            near = [n for n in due if times[n] > tick and times[n] - tick <= tick - times[n - 1]]
            found.append(max(shown + (near if started else due)))
    return found[::-1]


@pytest.mark.parametrize(
    ("container", "codec"), [("mp4", "libx264"), ("matroska", "libx264"), ("webm", "libvpx")]
)
@pytest.mark.parametrize("seed", range(4))
def test_the_last_frames_of_a_variable_rate_end_with_the_last_one(
    container: str, codec: str, seed: int, tmp_path: Path
) -> None:
    steps = np.random.default_rng(seed).choice([5, 16, 17, 33, 34, 50, 62, 63, 150], 29)
    times = [0, *(int(time) for time in np.cumsum(steps))]
    path = make_video(
        tmp_path / "video",
        shades(30),
        container=container,
        codec=codec,
        times=times,
        time_base=Fraction(1, 1000),
        options={} if codec == "libvpx" else None,
    )
    known = frame_times(path)
    assert len(known) == 30
    for last, fps in ((1, 16), (5, 16), (9, 8), (13, 24), (99, 16)):
        read = numbers(path, last=last, fps=fps)
        assert read == from_the_end(known, last, fps)
        assert read[-1] == 29
        assert len(set(read[-2:])) == min(last, 2)


@pytest.mark.parametrize("last_one", [40, 62, 90])
def test_a_last_frame_of_any_length_is_the_last_one(last_one: int, tmp_path: Path) -> None:
    """A steady rate whose stamps are rounded, but for the last frame."""
    times = [0, 62, 125, 188, 250, 313, 375, 437, 500, 500 + last_one]
    path = make_video(tmp_path / "video.mp4", shades(10), times=times, time_base=Fraction(1, 1000), rate=1000)
    assert numbers(path, last=5, fps=16) == [5, 6, 7, 8, 9]


def test_time_stamps_that_jitter_lose_and_double_no_frame(tmp_path: Path) -> None:
    times = [0, 55, 131, 180, 259, 306, 381, 430, 508, 560]
    path = make_video(tmp_path / "video.mp4", shades(10), times=times, time_base=Fraction(1, 1000), rate=1000)
    assert numbers(path, last=99, fps=16) == list(range(10))


@pytest.mark.parametrize("container", ["mp4", "matroska", "webm"])
@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(16), Fraction(30)])
def test_sampling_at_its_own_rate_gives_every_frame_once(
    container: str, rate: Fraction, tmp_path: Path
) -> None:
    """Matroska rounds time stamps to milliseconds; no frame may be lost or doubled for that."""
    codec = "libvpx" if container == "webm" else "libx264"
    path = make_video(tmp_path / "video", shades(25), container=container, codec=codec, rate=rate, options={})
    assert numbers(path, fps=float(rate)) == list(range(25))
    assert numbers(path, fps=float(rate), last=7) == list(range(18, 25))


def test_a_video_shorter_than_half_a_tick_still_has_a_frame(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [shade(3)], rate=60)
    assert [number_of(frame) for frame in read_clip(path, fps=16)] == [3]


def test_sampling_halves_and_doubles(tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.mp4", shades(8), rate=16)
    assert numbers(path, fps=8) == [1, 3, 5, 7]
    assert numbers(path, fps=32) == [number for number in range(8) for _ in range(2)]


def test_untagged_colours_are_bt601_below_720_rows_and_bt709_above(tmp_path: Path) -> None:
    """PyAV writes BT.601 where it is not told otherwise; the HD file is written so too and read as BT.709."""
    small = make_video(tmp_path / "small.mp4", [corners()] * 2, tags=(1, 2, 2, 2))
    assert np.abs(next(read_frames(small))[10, 10].astype(int) - (255, 0, 0)).max() <= 6
    large = make_video(tmp_path / "large.mp4", [corners(128, 720)] * 2, tags=(1, 2, 2, 2))
    assert np.abs(next(read_frames(large))[10, 10].astype(int) - (255, 0, 0)).max() > 10


def test_full_range_is_honoured(tmp_path: Path) -> None:
    path = tmp_path / "video.mov"
    make_video(path, [corners()] * 2, container="mov", codec="mjpeg", pixel_format="yuvj420p", options={})
    assert np.abs(next(read_frames(path))[10, 40].astype(int) - (0, 255, 0)).max() <= 12


def test_transparency_is_laid_over_black(tmp_path: Path) -> None:
    path = tmp_path / "video.mkv"
    make_video(path, [corners()] * 2, container="matroska", codec="ffv1", pixel_format="bgra", options={})
    assert np.array_equal(next(read_frames(path)), corners())


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ((1, 9, 16, 9), r"in HDR \(PQ\); convert it to SDR"),
        ((1, 9, 18, 9), r"in HDR \(HLG\)"),
        ((1, 9, 1, 9), "colours are wide-gamut"),
        ((1, 12, 1, 1), "colours are wide-gamut"),
    ],
)
def test_hdr_and_wide_gamut_are_refused(
    tags: tuple[int, int, int, int], message: str, tmp_path: Path
) -> None:
    path = make_video(tmp_path / "video.mp4", shades(2), tags=tags)
    with pytest.raises(BadInput, match=rf"^pad_video: it?s? .*{message}"):
        probe(path, field="pad_video")


def test_interlaced_video_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.mp4", shades(2), options={"x264-params": "interlaced=1"})
    with pytest.raises(BadInput, match="interlaced; deinterlace it first"):
        list(read_frames(path))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (b"hello\n", "text"),
        (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", "an HLS playlist"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "an FFmpeg concat script"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "an SDP session description"),
        (b'<?xml version="1.0"?><MPD><BaseURL>file:///etc/</BaseURL></MPD>', "a DASH manifest"),
        (b"RIFF\0\0\0\0AVI LIST", "an AVI video"),
        (b"GIF89a", "a GIF picture"),
        (b"FLV\x01", "a Flash video"),
        (b"OggS", "an audio file"),
    ],
)
def test_other_files_are_refused_with_what_was_found(data: bytes, found: str, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(data)
    for reading in (probe, read_clip, read_metadata):
        with pytest.raises(
            BadInput, match=f"^continue_from: expected a video, found {found}.*MP4, QuickTime"
        ):
            reading(path, field="continue_from")


@pytest.mark.parametrize(
    "playlist", [b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", b"ffconcat version 1.0\nfile x\n"]
)
def test_a_playlist_behind_an_mp4_header_reads_no_other_file(playlist: bytes, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(struct.pack(">I", 16) + b"ftypisom\0\0\0\0" + playlist)
    with pytest.raises(BadInput, match="that is incomplete"):
        read_clip(path)


def test_an_external_reference_is_not_followed(tmp_path: Path) -> None:
    """A QuickTime alias in `dref` says that the pictures are in another file."""
    path = make_video(tmp_path / "video.mp4", shades(3))
    other = make_video(tmp_path / "other.mp4", [shade(30), shade(31), shade(32)])
    name = b"other.mp4"
    alias = bytearray(150)
    alias[10:14], alias[50 : 51 + len(name)] = b"\0\0\0\0", bytes([len(name)]) + name
    alias += struct.pack(">hH", 2, len(str(other))) + str(other).encode() + struct.pack(">hH", -1, 0)
    data = path.read_bytes()
    at = data.index(b"dref") - 4
    entry = struct.pack(">I", 12 + len(alias)) + b"alis" + bytes(4) + alias
    dref = struct.pack(">I", 16 + len(entry)) + b"dref" + bytes(4) + struct.pack(">I", 1) + entry
    old = struct.unpack(">I", data[at : at + 4])[0]
    grown = len(dref) - old
    patched = bytearray(data[:at] + dref + data[at + old :])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        start = patched.index(box) - 4
        size = struct.unpack(">I", patched[start : start + 4])[0] + grown
        patched[start : start + 4] = struct.pack(">I", size)
    path.write_bytes(patched)
    for reading in (read_clip, probe, numbers):
        with pytest.raises(BadInput, match="holds no frame, or holds them in another file"):
            reading(path)


def test_the_guard_on_other_files_is_in_place(tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.mp4", shades(2))
    with open_video(path, VideoLimits(), "video") as source:
        assert source.container.io_open is refuse_other_files


def test_no_second_file_can_be_opened_while_reading(tmp_path: Path) -> None:
    """The demuxer that was not asked for, asked for: even a playlist gets at nothing but itself."""
    make_video(tmp_path / "part.ts", shades(3), container="mpegts")
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\npart.ts\n#EXT-X-ENDLIST\n")
    with av.open(str(playlist), format="hls") as unguarded:
        assert len(unguarded.streams) == 1
    with pytest.raises(PermissionError, match="may not refer to another file"):
        av.open(str(playlist), format="hls", io_open=refuse_other_files)


def test_audio_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^pad_video: an MP4 or QuickTime file without pictures \(no video"):
        probe(make_audio(tmp_path / "sound.mp4"), field="pad_video")


def test_too_many_streams_are_refused(tmp_path: Path) -> None:
    path = make_audio(tmp_path / "sound.mp4", streams=12)
    with pytest.raises(BadInput, match="12 streams; at most 8"):
        probe(path, limits=VideoLimits(max_streams=8))


def test_an_unknown_codec_is_refused(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "video.mov", shades(2), container="mov", codec="qtrle", pixel_format="rgb24", options={}
    )
    with pytest.raises(BadInput, match="its codec is qtrle; legal are av1, "):
        probe(path)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["mp4", "index first", "matroska"])
def test_a_truncated_video_is_never_just_shorter(kind: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / "video"
    noise = np.random.default_rng(1).integers(0, 256, (8, 48, 64, 3), dtype=np.uint8)
    if kind == "index first":
        with VideoWriter(path, width=64, height=48, fps=16, crf=1) as video:
            for picture in noise:
                video.write(picture)
    else:
        make_video(path, noise, container=kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BadInput, match=r"^video: .* that is incomplete: \d+ of \d+ bytes are missing"):
        read_clip(path)


def test_a_recording_of_unknown_size_is_legal(tmp_path: Path) -> None:
    """Browsers stream WebM without going back to write its size."""
    path = make_video(tmp_path / "video.webm", shades(4), container="webm", codec="libvpx", options={})
    data = bytearray(path.read_bytes())
    at = data.index(b"\x18\x53\x80\x67") + 4
    assert data[at] == 1
    data[at : at + 8] = b"\x01" + b"\xff" * 7
    path.write_bytes(data)
    assert numbers(path) == [0, 1, 2, 3]


def test_an_mp4_whose_last_box_has_no_size_is_legal(tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.mp4", shades(4))
    path.write_bytes(path.read_bytes() + b"\0\0\0\0free")
    assert numbers(path) == [0, 1, 2, 3]


def test_an_mp4_with_a_large_box_is_measured(tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.mp4", shades(4))
    whole = path.read_bytes() + b"\0\0\0\1free" + struct.pack(">Q", 20) + b"....."
    path.write_bytes(whole[:-2])
    with pytest.raises(BadInput, match="1 of"):
        read_clip(path)
    path.write_bytes(whole[:-1])
    assert numbers(path) == [0, 1, 2, 3]


@pytest.mark.parametrize("data", [b"\x1aE\xdf\xa3", b"\x1aE\xdf\xa3\x80....", b"\x1aE\xdf\xa3\x00"])
def test_a_matroska_file_without_a_segment_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "video.mkv"
    path.write_bytes(data)
    with pytest.raises(BadInput, match="damaged, incomplete or encrypted"):
        read_clip(path)


def test_most_damage_is_noticed_wherever_it_is(tmp_path: Path) -> None:
    """Four bytes are changed, in turn all over the pictures. What still decodes cannot be noticed."""
    blocks = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    pictures = [np.kron(np.roll(blocks, index, 1), np.ones((4, 4, 1), np.uint8)) for index in range(12)]
    path = make_video(tmp_path / "video.mp4", pictures, options={"crf": "12"})
    whole = path.read_bytes()
    places = range(whole.index(b"mdat") + 700, whole.rindex(b"moov") - 8, 100)
    noticed = []
    for place in places:
        data = bytearray(whole)
        data[place : place + 4] = bytes(byte ^ 0xA5 for byte in data[place : place + 4])
        path.write_bytes(data)
        try:
            read_clip(path)
        except BadInput as error:
            noticed.append(error.message)
    assert len(noticed) > 0.7 * len(places)
    assert any("a frame at 0." in message for message in noticed)


def test_a_change_of_size_in_the_middle_is_refused(tmp_path: Path) -> None:
    """The packets of two H.264 videos in one track, each with its own parameter sets."""
    path = tmp_path / "video.mkv"
    options = {"crf": "8", "bf": "0"}
    parts = [
        make_video(tmp_path / "a.mkv", [shade(1)] * 3, container="matroska", options=options),
        make_video(tmp_path / "b.mkv", [shade(5, 96, 80)] * 3, container="matroska", options=options),
    ]
    with av.open(str(parts[0])) as first, av.open(str(path), "w", format="matroska") as output:
        stream = output.add_stream_from_template(first.streams.video[0])
        for part in parts:
            append_packets(output, stream, part)
    with pytest.raises(BadInput, match="its frames change from 64x48 to 96x80"):
        read_clip(path)


def append_packets(output: OutputContainer, stream: VideoStream, part: Path) -> None:
    """Copy a part's packets behind those that are there, 62 ms apart."""
    offset = 1000 if part.name == "b.mkv" else 0
    with av.open(str(part)) as source:
        extradata = source.streams.video[0].codec_context.extradata or b""
        for index, packet in enumerate(source.demux(video=0)):
            if packet.size:
                joined = av.Packet((in_band(extradata) if packet.is_keyframe else b"") + bytes(packet))
                joined.pts = joined.dts = offset + index * 62
                joined.time_base, joined.is_keyframe = Fraction(1, 1000), packet.is_keyframe
                joined.stream = stream
                output.mux(joined)


def in_band(avcc: bytes) -> bytes:
    """The parameter sets of an avcC record (ISO 14496-15) as length-prefixed units."""
    units, at = b"", 6
    for mask in (0x1F, 0xFF):
        for _ in range(avcc[at - 1] & mask):
            size = struct.unpack(">H", avcc[at : at + 2])[0]
            units += struct.pack(">I", size) + avcc[at + 2 : at + 2 + size]
            at += 2 + size
        at += 1
    return units


def test_limits_on_what_a_file_declares(tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.mp4", shades(32))
    assert probe(path, limits=VideoLimits(max_seconds=2, max_frames=32, max_pixels=64 * 48)).frames == 32
    for limits, message in (
        (VideoLimits(max_bytes=100), "has more than 100 bytes"),
        (VideoLimits(max_pixels=64 * 48 - 1), "64x48 pixels; at most 3071 pixels"),
        (VideoLimits(max_seconds=1.9), r"lasts 2 s; at most 1\.9 s"),
        (VideoLimits(max_frames=31), "more than 31 frames"),
    ):
        with pytest.raises(BadInput, match=message):
            probe(path, limits=limits)
    with pytest.raises(BadInput, match="more than 31 frames"):
        numbers(path, limits=VideoLimits(max_frames=31))
    with pytest.raises(BadInput, match="more than 50 frames"):
        numbers(path, limits=VideoLimits(max_frames=50), fps=32)
    with pytest.raises(BadInput, match="more than 100000 bytes of memory"):
        read_clip(path, limits=VideoLimits(max_clip_bytes=100_000))


def test_limits_hold_where_the_file_declares_less(tmp_path: Path) -> None:
    """The declared duration is made tiny; the frames tell."""
    path = make_video(tmp_path / "video.mp4", shades(32))
    data = bytearray(path.read_bytes())
    for box, offset in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)):
        at = data.index(box) + offset
        data[at : at + 4] = struct.pack(">I", 1)
    while (at := data.find(b"elst")) >= 0:
        data[at : at + 4] = b"free"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"lasts longer than 1 s, the most"):
        numbers(path, limits=VideoLimits(max_seconds=1))


def test_a_frame_that_lasts_for_hours_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.mp4", shades(1))
    data = bytearray(path.read_bytes())
    for box, offset, value in ((b"stts", 16, 2**30), (b"elst", 12, 2**31 - 1), (b"mdhd", 20, 2**30)):
        at = data.index(box) + offset
        data[at : at + 4] = struct.pack(">I", value)
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"lasts 65536 s; at most 1800 s"):
        probe(path)


def test_reading_can_be_interrupted(tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.mp4", shades(12))
    calls = itertools.count(1)

    def check() -> None:
        if next(calls) == 4:
            raise Cancelled("cancelled")

    with pytest.raises(Cancelled):
        read_clip(path, last=2, check=check)
    assert next(calls) == 5


def test_reading_can_end_early(tmp_path: Path) -> None:
    path = make_video(tmp_path / "video.mp4", shades(12))
    frames = read_frames(path)
    assert number_of(next(frames)) == 0
    assert isinstance(frames, Generator)
    frames.close()
    assert list(frames) == []
    path.unlink()
