"""A folder as storage: links, odd files, killed processes, full disks."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from headless.adapters.local_storage import LocalStorage
from headless.errors import BadInput, DiskFull, StorageUnavailable, Unsafe, UsageError

ROOT = Path(__file__).parents[2]
KEY = "outputs/local/task/1/movie.mp4"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return LocalStorage(root)


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    path = tmp_path / "movie"
    path.write_bytes(b"a movie")
    return path


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


def test_nothing_is_created_before_the_first_object(storage: LocalStorage, root: Path) -> None:
    assert not storage.exists(KEY)
    assert not root.exists()


def test_an_object_is_a_file_and_nothing_else_stays(storage: LocalStorage, root: Path, movie: Path) -> None:
    storage.put(KEY, movie, "video/mp4")
    assert files(root) == [KEY]
    assert storage.locate(KEY) == str(root / KEY)
    assert movie.read_bytes() == b"a movie"


def test_modes_follow_the_umask(root: Path, movie: Path, tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib; os.umask(0o027); from headless.adapters.local_storage import LocalStorage; "
        f"LocalStorage(sys.argv[1]).put({KEY!r}, pathlib.Path(sys.argv[2]), 'video/mp4')"
    )
    subprocess.run([sys.executable, "-c", script, str(root), str(movie)], cwd=ROOT, check=True)
    assert stat.S_IMODE((root / KEY).stat().st_mode) == 0o640
    assert stat.S_IMODE((root / KEY).parent.stat().st_mode) == 0o750
    movie.chmod(0o600)
    LocalStorage(root).fetch(KEY, tmp_path / "copy", 100)


def test_a_relative_root_does_not_follow_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert LocalStorage("storage").locate("x") == str(tmp_path / "storage" / "x")


@pytest.mark.parametrize("link", [KEY, "outputs/local/task/1", "outputs"])
def test_a_link_that_leads_outside_is_unsafe(
    storage: LocalStorage, root: Path, movie: Path, tmp_path: Path, link: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to(outside / "secret" if link == KEY else outside)
    for call in (
        lambda: storage.put(KEY, movie, "video/mp4"),
        lambda: storage.fetch(KEY, tmp_path / "copy", 100),
        lambda: storage.exists(KEY),
        lambda: storage.locate(KEY),
    ):
        with pytest.raises(Unsafe, match="link"):
            call()
    assert list(outside.iterdir()) == []


def test_a_link_that_stays_inside_is_followed(storage: LocalStorage, root: Path, movie: Path) -> None:
    storage.put(KEY, movie, "video/mp4")
    (root / "outputs" / "again").symlink_to(root / "outputs" / "local")
    assert storage.exists("outputs/again/task/1/movie.mp4")


def test_a_root_may_itself_be_a_link(root: Path, movie: Path, tmp_path: Path) -> None:
    (tmp_path / "big-disk").mkdir()
    root.symlink_to(tmp_path / "big-disk")
    LocalStorage(root).put(KEY, movie, "video/mp4")
    assert files(tmp_path / "big-disk") == [KEY]


def test_links_in_a_circle_are_unsafe(storage: LocalStorage, root: Path, movie: Path) -> None:
    root.mkdir()
    (root / "outputs").symlink_to(root / "outputs")
    with pytest.raises(Unsafe, match="circle"):
        storage.put(KEY, movie, "video/mp4")


def test_a_pipe_is_no_object(storage: LocalStorage, root: Path, movie: Path, tmp_path: Path) -> None:
    (root / KEY).parent.mkdir(parents=True)
    os.mkfifo(root / KEY)
    assert not storage.exists(KEY)
    with pytest.raises(Unsafe, match="regular"):
        storage.fetch(KEY, tmp_path / "copy", 100)
    with pytest.raises(Unsafe, match="regular"):
        storage.put(KEY, movie, "video/mp4")


def test_a_folder_is_no_object(storage: LocalStorage, root: Path, movie: Path, tmp_path: Path) -> None:
    (root / KEY).mkdir(parents=True)
    assert not storage.exists(KEY)
    with pytest.raises(Unsafe, match="regular"):
        storage.fetch(KEY, tmp_path / "copy", 100)
    with pytest.raises(Unsafe, match="regular"):
        storage.put(KEY, movie, "video/mp4")


def test_an_object_below_an_object_is_refused(storage: LocalStorage, movie: Path, tmp_path: Path) -> None:
    storage.put(KEY, movie, "video/mp4")
    with pytest.raises(Unsafe, match="below another object"):
        storage.put(f"{KEY}/poster.jpg", movie, "image/jpeg")
    with pytest.raises(BadInput, match="no object"):
        storage.fetch(f"{KEY}/poster.jpg", tmp_path / "copy", 100)


def test_fetching_replaces_an_earlier_copy(storage: LocalStorage, movie: Path, tmp_path: Path) -> None:
    storage.put(KEY, movie, "video/mp4")
    (tmp_path / "copy").write_bytes(b"an older copy")
    storage.fetch(KEY, tmp_path / "copy", 7)
    assert (tmp_path / "copy").read_bytes() == b"a movie"


def test_fetching_into_no_folder_says_so(storage: LocalStorage, movie: Path, tmp_path: Path) -> None:
    storage.put(KEY, movie, "video/mp4")
    with pytest.raises(StorageUnavailable, match="No such file"):
        storage.fetch(KEY, tmp_path / "absent" / "copy", 100)


def test_a_root_that_is_a_file_says_so(root: Path, movie: Path) -> None:
    root.write_bytes(b"")
    with pytest.raises(UsageError, match="must be a folder"):
        LocalStorage(root).put(KEY, movie, "video/mp4")


def test_an_object_that_grows_while_it_is_read_is_cut_off(
    storage: LocalStorage, root: Path, tmp_path: Path
) -> None:
    """`/proc/self/maps` reports a size of 0 and holds more: what counts is what was read."""
    (root / KEY).parent.mkdir(parents=True)
    maps = Path("/proc/self/maps")
    storage_of_proc = LocalStorage("/proc/self")
    assert maps.stat().st_size == 0
    with pytest.raises(BadInput, match="10"):
        storage_of_proc.fetch("maps", tmp_path / "copy", 10)
    assert not list(tmp_path.glob("copy*"))


FILL = """
import pathlib, resource, sys
from headless.adapters.local_storage import LocalStorage
from headless.errors import DiskFull
storage = LocalStorage(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    if sys.argv[2] == "put":
        storage.put("outputs/big", pathlib.Path(sys.argv[3]), "video/mp4")
    else:
        storage.fetch("outputs/big", pathlib.Path(sys.argv[3]), 1_000_000)
except DiskFull as error:
    print(error)
"""


def fill(*arguments: str) -> str:
    command = [sys.executable, "-c", FILL, *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_no_room_for_an_object_leaves_nothing_behind(root: Path, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 200_000)
    assert "no room" in fill(str(root), "put", str(tmp_path / "big"))
    assert files(root) == []


def test_no_room_for_a_copy_leaves_nothing_behind(root: Path, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 200_000)
    LocalStorage(root).put("outputs/big", tmp_path / "big", "video/mp4")
    assert "no room" in fill(str(root), "fetch", str(tmp_path / "copy"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["big", "storage"]


KILL = """
import os, pathlib, signal, sys
from headless.adapters.local_storage import LocalStorage
read, write = os.pipe()
os.write(write, b"half a movie")
print("ready", flush=True)
LocalStorage(sys.argv[1]).put("outputs/big", pathlib.Path(f"/proc/self/fd/{read}"), "video/mp4")
"""


def test_what_a_killed_process_left_is_removed_at_the_next_start(root: Path, movie: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILL, str(root)], cwd=ROOT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        incoming = wait_for_one_file(root / ".incoming", process)
        process.kill()
    os.utime(incoming, (0, 0))
    storage = LocalStorage(root)
    assert files(root) == []
    storage.put("outputs/big", movie, "video/mp4")
    assert files(root) == ["outputs/big"]


def wait_for_one_file(folder: Path, process: subprocess.Popen[bytes]) -> Path:
    while process.poll() is None:
        if folder.is_dir() and (found := list(folder.iterdir())):
            return found[0]
    raise AssertionError("the process ended too early")


def test_what_another_process_is_writing_is_left_alone(root: Path) -> None:
    (root / ".incoming").mkdir(parents=True)
    written, fresh = root / ".incoming" / "written", root / ".incoming" / "fresh"
    fresh.touch()
    with written.open("wb") as writer:
        fcntl.flock(writer.fileno(), fcntl.LOCK_EX)
        os.utime(written, (0, 0))
        LocalStorage(root)
        assert written.exists()
    assert fresh.exists()
    LocalStorage(root)
    assert not written.exists()


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EFBIG, DiskFull),
        (errno.EROFS, UsageError),
        (errno.EACCES, UsageError),
        (errno.EIO, StorageUnavailable),
    ],
)
def test_every_trouble_of_the_disk_has_its_class(
    storage: LocalStorage,
    movie: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    expected: type[Exception],
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(expected, match=os.strerror(number)):
        storage.put(KEY, movie, "video/mp4")
    assert files(storage.root) == []


def test_a_disk_that_gives_back_other_bytes_is_noticed(
    storage: LocalStorage, movie: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def damage(descriptor: int) -> None:
        sync(descriptor)
        os.pwrite(descriptor, b"X", 0)

    monkeypatch.setattr(os, "fsync", damage)
    with pytest.raises(StorageUnavailable, match="other bytes"):
        storage.put(KEY, movie, "video/mp4")
    assert files(storage.root) == []
