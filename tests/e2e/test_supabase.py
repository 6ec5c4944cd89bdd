"""The same worker and the same commands against a Supabase project, and no token in anything they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from headless.media.video import read_clip
from tests.cli.terminal import run
from tests.e2e.children import Child, log_lines, run_worker
from tests.supabase.stack import Stack
from tests.worker.place import QUICK, picture_file

ALICE = "a11ce000-0000-4000-8000-000000000001"
BOB = "b0b00000-0000-4000-8000-000000000002"


@dataclass(frozen=True)
class Caller:
    """Somebody with a key: how it is given, and whose files these are."""

    stack: Stack
    env: dict[str, str]
    flags: list[str]
    owner: str
    secrets: tuple[str, ...]

    def work(self, *flags: str) -> list[dict[str, Any]]:
        """A worker until the queue is empty; its log."""
        ended = run_worker(*self.flags, *QUICK, "--engine", "fake", "--until-idle", *flags, env=self.env)
        assert ended.returncode == 0, ended.stderr
        self.assert_silent(ended.stderr + ended.stdout)
        return log_lines(ended.stderr)

    def say(self, *arguments: str) -> str:
        """A command that works; what it prints."""
        said = run(*arguments, *self.flags, environ=self.env)
        assert said.status == 0, said.err
        self.assert_silent(said.err + said.out)
        return said.out.strip()

    def assert_silent(self, text: str) -> None:
        """No key and no part of a token that would sign anything."""
        for secret in self.secrets:
            assert secret not in text
            assert secret.rpartition(".")[2] not in text


CallerMaker = Callable[[Stack, Path], Caller]


def _secret_key(stack: Stack, folder: Path) -> Caller:
    env = {"SUPABASE_URL": stack.url, "SUPABASE_SECRET_KEY": stack.keys.secret}
    return Caller(stack, env, [], "service", (stack.keys.secret,))


def _access_token(stack: Stack, folder: Path) -> Caller:
    token = stack.keys.user(ALICE)
    flags = ["--supabase-url", stack.url, "--supabase-access-token", token]
    env = {"SUPABASE_ANON_KEY": stack.keys.publishable}
    return Caller(stack, env, flags, ALICE, (token, stack.keys.publishable))


def _token_in_a_file(stack: Stack, folder: Path) -> Caller:
    token = stack.keys.user(ALICE)
    path = folder / "token"
    path.write_text(token + "\n")
    flags = ["--supabase-url", stack.url, "--supabase-access-token-file", str(path)]
    env = {"SUPABASE_ANON_KEY": stack.keys.publishable}
    return Caller(stack, env, flags, ALICE, (token, stack.keys.publishable))


@pytest.mark.parametrize("make", [_secret_key, _access_token, _token_in_a_file])
def test_submit_work_status_download(supabase_stack: Stack, tmp_path: Path, make: CallerMaker) -> None:
    caller = make(supabase_stack, tmp_path)
    picture_file(tmp_path / "start.png")
    job = {"model": "wan_tiny_i2v", "prompt": "a cat", "image": "start.png", "video_length": 6, "steps": 1}
    (tmp_path / "job.json").write_text(json.dumps(job | {"resolution": "64x64", "seed": 3}))
    task = caller.say("submit", "--file", str(tmp_path / "job.json"))
    lines = caller.work("--debug")
    assert {line["task"] for line in lines if "task" in line} == {task}
    row = json.loads(caller.say("status", task, "--json"))
    assert row["status"] == "Complete"
    assert row["output_location"] == f"outputs/{caller.owner}/{task}/1/video.mp4"
    assert [e["field"] for e in row["result"]["adjustments"]] == ["num_frames"]
    video = tmp_path / "video.mp4"
    video.write_bytes(httpx.get(row["output"]).raise_for_status().content)
    assert len(read_clip(video)) == 5
    assert caller.say("list", "--status", "Complete").startswith(task)


def test_a_users_worker_leaves_other_users_tasks_alone(supabase_stack: Stack, tmp_path: Path) -> None:
    alice = _access_token(supabase_stack, tmp_path)
    token = supabase_stack.keys.user(BOB)
    bob = Caller(
        supabase_stack,
        alice.env,
        ["--supabase-url", supabase_stack.url, "--supabase-access-token", token],
        BOB,
        (token,),
    )
    flags = ("--prompt", "a", "--model", "wan_tiny_i2v", "--num-frames", "5", "--steps", "1")
    mine, theirs = alice.say("submit", *flags), bob.say("submit", *flags)
    alice.work()
    assert json.loads(alice.say("status", mine, "--json"))["status"] == "Complete"
    assert json.loads(bob.say("status", theirs, "--json"))["status"] == "Queued"
    assert "There is no task" in run("status", theirs, *alice.flags, environ=alice.env).err


def test_a_bad_task_says_why_and_the_next_one_runs(supabase_stack: Stack, tmp_path: Path) -> None:
    caller = _secret_key(supabase_stack, tmp_path)
    flags = ("--prompt", "a", "--model", "wan_tiny_i2v", "--num-frames", "5", "--steps", "1")
    bad = caller.say("submit", *flags, "--start-image", f"storage://inputs/service/{'0' * 64}.png")
    fine = caller.say("submit", *flags)
    caller.work()
    row = json.loads(caller.say("status", bad, "--json"))
    assert (row["status"], row["error_class"]) == ("Failed", "BAD_INPUT")
    assert "start_image" in row["error_message"]
    assert json.loads(caller.say("status", fine, "--json"))["status"] == "Complete"


def test_a_key_that_the_project_refuses_is_told_and_not_shown(supabase_stack: Stack, tmp_path: Path) -> None:
    wrong = "sb_secret_" + "0123456789abcdef" * 2
    ended = run_worker(
        "--supabase-url",
        supabase_stack.url,
        "--until-idle",
        "--engine",
        "fake",
        env={"SUPABASE_SECRET_KEY": wrong},
    )
    assert ended.returncode == 2
    assert wrong not in ended.stderr
    assert "worker.py: " in ended.stderr
    assert "Traceback" not in ended.stderr


def test_cancelling_reaches_a_running_worker(supabase_stack: Stack, tmp_path: Path) -> None:
    caller = _secret_key(supabase_stack, tmp_path)
    task = caller.say(
        "submit", "--prompt", "a", "--model", "wan_tiny_i2v", "--num-frames", "5", "--steps", "100"
    )
    with Child(*QUICK, "--engine", "fake", "--until-idle", env=caller.env) as worker:
        worker.wait_for('"event": "denoising"')
        assert "asked to stop" in caller.say("cancel", task)
        assert worker.wait() == 0
        caller.assert_silent(worker.log)
    assert json.loads(caller.say("status", task, "--json"))["status"] == "Cancelled"
