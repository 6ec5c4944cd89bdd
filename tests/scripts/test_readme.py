"""The README's commands: they run as they stand, in the folder of a checkout."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from headless.settings import worker_settings
from tests.scripts.folder_root import IMAGE
from tests.scripts.tracked import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def lines_of(heading: str) -> list[str]:
    """The commands of the first block below a heading, without comments."""
    block = re.search(rf"^#+ {heading}\n.*?```sh\n(.*?)```", README, re.MULTILINE | re.DOTALL)
    assert block is not None
    joined = block[1].replace("\\\n", " ").splitlines()
    return [line for line in joined if line.strip() and not line.startswith("#")]


def test_the_two_commands_are_there() -> None:
    commands = [line.split()[0] for line in lines_of("Try it")]
    assert commands == ["./scripts/demo", "./scripts/test"]
    assert all((REPOSITORY / command).is_file() for command in commands)


def test_a_task_is_queued_and_worked_off(tmp_path: Path) -> None:
    for name in ("worker.py", "headless", "wan2gp_patch", "models", "configs", "examples"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    environment = {**os.environ, "HEADLESS_ENGINE": "fake", "HEADLESS_FAKE_STEP_SECONDS": "0"}

    def run(line: str) -> str:
        python, *arguments = shlex.split(line)
        assert python == ".venv/bin/python"
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    submit, work, *_ = lines_of("Use it")
    task = run(submit)
    run(work)
    assert "Complete" in run(f".venv/bin/python -m headless status --local queue {task}")


def test_a_worker_for_supabase_is_set_up() -> None:
    _, _, _, worker = lines_of("Use it")
    settings = worker_settings(shlex.split(worker)[2:], {})
    assert settings.connection.supabase_url == "https://PROJECT.supabase.co"
    assert settings.debug


def test_the_image_is_run_with_its_volumes() -> None:
    *_, run = lines_of("In Docker")
    words = shlex.split(run)
    mounted = {words[i + 1].partition(":")[2] for i, word in enumerate(words) if word == "--volume"}
    assert mounted == {str(volume) for volume in IMAGE.volumes}
