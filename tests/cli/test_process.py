"""`python -m headless` as a process: help pages, pipes that close, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.cli.terminal import Terminal, run
from tests.e2e.children import PATIENCE, ROOT, environment, headless

COMMANDS = ("submit", "status", "list", "cancel", "retry", "plan", "health")


def test_the_help_names_every_command_and_the_exit_statuses() -> None:
    page = run("--help").out
    for command in COMMANDS:
        assert f"\n    {command} " in page
    assert "exit status: 0 done" in page
    assert "130 cancelled" in page
    assert "worker.py --help" in page


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_variables_and_an_example(command: str) -> None:
    said = run(command, "--help")
    assert said.status == 0
    assert f"  python -m headless {command} " in said.out
    assert "[HEADLESS_" in said.out
    if command not in ("health",):
        for variable in ("HEADLESS_LOCAL", "SUPABASE_URL", "SUPABASE_ACCESS_TOKEN", "SUPABASE_SECRET_KEY"):
            assert variable in said.out
    assert max(map(len, said.out.splitlines())) <= 120


def test_parameters_are_explained_with_what_is_legal() -> None:
    page = " ".join(run("submit", "--help").out.split())
    assert '"in_chunk", "extra_latent", "slot", "repeat_4"' in page
    assert "a whole number from 1 to 100" in page
    assert "--no-svi2pro" in page


def test_secrets_of_the_environment_are_not_in_the_help() -> None:
    token = "sb_secret_0123456789abcdef"
    page = run("list", "--help", environ={"SUPABASE_SECRET_KEY": token, "SUPABASE_ACCESS_TOKEN": token}).out
    assert token not in page


def test_no_command_is_bad_use_and_shows_the_help() -> None:
    said = run()
    assert said.status == 2
    assert "submit" in said.err
    assert said.out == ""


def test_an_unknown_command_is_bad_use() -> None:
    said = run("sumbit")
    assert said.status == 2
    assert "submit" in said.err


def test_the_version_is_told() -> None:
    assert run("--version").out == "headless 0.1.0\n"


def test_a_wrong_variable_is_told_and_no_traceback(terminal: Terminal) -> None:
    terminal.environ["SUPABASE_URL"] = "http://127.0.0.1:9"
    assert "Name one queue" in terminal.bad("list")


def test_a_reader_that_leaves_early_is_no_error(terminal: Terminal) -> None:
    for _ in range(3):
        terminal.place.enqueue(terminal.place.job())
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "headless", "list", "--json"],
            cwd=ROOT,
            env=environment(terminal.environ),
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_while_waiting_leaves_with_130(terminal: Terminal) -> None:
    arguments = ("submit", "--model", "wan_tiny_i2v", "--prompt", "a", "--wait")
    with subprocess.Popen(
        [sys.executable, "-m", "headless", *arguments],
        cwd=ROOT,
        env=environment(terminal.environ),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as waiting:
        assert waiting.stderr is not None
        try:
            lines = [waiting.stderr.readline() for _ in range(2)]
            assert lines[1] == "queued, place 1\n"
            waiting.send_signal(signal.SIGINT)
            _, rest = waiting.communicate(timeout=PATIENCE)
        finally:
            waiting.kill()
        assert waiting.returncode == 130
    assert "the task goes on" in rest
    assert "Traceback" not in rest


def test_results_go_to_stdout_and_errors_to_stderr(terminal: Terminal) -> None:
    done = headless("status", "nobody", env=terminal.environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "headless: There is no task 'nobody' in this queue. `list` shows those there are.\n"


def test_a_terminal_without_unicode_gets_escapes(terminal: Terminal) -> None:
    task = terminal.place.enqueue(terminal.place.job(prompt="雪"))
    for command in ("plan", "status"):
        more = ("--json",) if command == "status" else ()
        where = ("--local", str(terminal.place.local))
        told = headless(command, *where, task, *more, env={"PYTHONIOENCODING": "ascii"})
        assert told.returncode == 0, told.stderr
        assert "\\u96ea" in told.stdout
