"""scripts/demo, as the README has it, in a checkout whose environment is installed already."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.scripts.folder_root import built
from tests.scripts.tracked import REPOSITORY


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the product with this environment as its own."""
    folder = built(tmp_path).inside("/app")
    for name in ("demo", "show_result.py"):
        shutil.copy(REPOSITORY / "scripts" / name, folder / "scripts")
    (folder / ".venv").mkdir()
    for path in Path(sys.prefix).iterdir():
        (folder / ".venv" / path.name).symlink_to(path)
    summed = subprocess.run(
        ["bash", "-c", "LC_ALL=C; cat requirements*.txt | sha256sum | cut -c1-16"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    (folder / ".venv" / f"installed-{summed.stdout.strip()}-requirements.txt").touch()
    return folder


def test_the_demo_leaves_a_video_and_says_where(checkout: Path) -> None:
    done = subprocess.run(
        [str(checkout / "scripts" / "demo")], cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    task, out = said["queued"], checkout / "out"
    expected = {
        "video": f"{task}.mp4",
        "poster": f"{task}.poster.webp",
        "contact_sheet": f"{task}.contact_sheet.webp",
        "result": f"{task}.json",
    }
    for name, file in expected.items():
        assert Path(said[name]) == out / file
        assert (out / file).stat().st_size > 0
    for phase in ("loading", "encoding", "denoising", "decoding", "uploading", "setup", "all"):
        assert said[phase].endswith(" s")
    result = json.loads((out / f"{task}.json").read_text(encoding="utf-8"))
    with av.open(str(out / f"{task}.mp4")) as video:
        assert video.streams.video[0].frames == result["frames"] == 17


def test_a_task_without_a_result_is_not_shown_as_done(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(REPOSITORY / "scripts" / "show_result.py"),
        str(tmp_path / "out" / "x.json"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the task did not complete" in done.stdout
    assert f"list --local {tmp_path / 'out' / 'queue'}" in done.stdout


def test_what_was_adjusted_is_shown(tmp_path: Path) -> None:
    change = {"field": "num_frames", "requested": 82, "used": 81, "why": "4k+1"}
    result = {"files": {"video": {"name": "x.mp4"}}, "timings": {"loading": 1.234}, "adjustments": [change]}
    path = tmp_path / "x.json"
    path.write_text(json.dumps(result), encoding="utf-8")
    command = [sys.executable, str(REPOSITORY / "scripts" / "show_result.py"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"video          {tmp_path / 'x.mp4'}",
        f"result         {path}",
        "loading        1.23 s",
        "adjusted       num_frames: 82 -> 81 (4k+1)",
    ]
