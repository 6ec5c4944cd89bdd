"""Uses a built image as its users do: help, jobs, health check, signals."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scripts.image.clean_root import CleanRoot, Place
from scripts.image.dockerfile import Image

QUEUE = "/cache/queue"
_SECONDS = 60.0
_SLOW = ("--steps", "100")


class TrialFailed(Exception):
    """The image does not do what it should."""


@dataclass(frozen=True)
class Container:
    """Programs in the image, as its user, in its folder, with its variables."""

    root: CleanRoot
    image: Image

    def command(self, argv: Sequence[str]) -> list[str]:
        """What to start."""
        return self.root.command(argv, Place(self.image.user, self.image.folder, self.image.environment))

    def answer(self, *argv: str) -> str:
        """What a program prints; it must succeed."""
        done = subprocess.run(
            self.command(argv), check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if done.returncode != 0:
            raise TrialFailed(f"{' '.join(argv)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def succeeds(self, *argv: str) -> bool:
        """Whether a program ends with 0."""
        done = subprocess.run(self.command(argv), check=False, capture_output=True, stdin=subprocess.DEVNULL)
        return done.returncode == 0

    def headless(self, *argv: str) -> str:
        """The command line in the image."""
        return self.answer(self.image.entrypoint[0], "-m", "headless", *argv)

    def worker(self, *argv: str) -> subprocess.Popen[str]:
        """A running worker, started as a container would start it."""
        return subprocess.Popen(
            self.command([*self.image.entrypoint, *argv]),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )


def try_out(root: CleanRoot, image: Image) -> None:
    """Try everything; raises `TrialFailed` at the first thing that is wrong."""
    container = Container(root, image)
    for trial in (_help, _not_root, _volumes, _fake_job, _tiny_job, _health, _idle_stop, _busy_stop):
        began = time.monotonic()
        trial(container)
        print(f"  {time.monotonic() - began:6.1f} s  {(trial.__doc__ or '').rstrip('.')}", flush=True)


def _help(container: Container) -> None:
    """worker.py --help."""
    _hold(
        "--supabase-url" in container.answer(*container.image.entrypoint, "--help"), "the help is not there"
    )


def _not_root(container: Container) -> None:
    """Runs as a user, and may not write where it should not."""
    _hold(container.answer("id", "-u") != "0", "the image runs as root")
    _hold(not container.succeeds("test", "-w", "/etc"), "/etc is writable")


def _volumes(container: Container) -> None:
    """The volumes are writable."""
    for volume in container.image.volumes:
        _hold(container.succeeds("test", "-w", str(volume)), f"{volume} is not writable")


def _fake_job(container: Container) -> None:
    """A job on the fake engine."""
    _job(container, "--engine", "fake")


def _tiny_job(container: Container) -> None:
    """A job on the tiny model."""
    _job(container)


def _health(container: Container) -> None:
    """The health check fails before the worker lives and passes while it does."""
    container.root.inside(container.image.environment["HEADLESS_HEALTH_FILE"]).unlink(missing_ok=True)
    _hold(not container.succeeds(*container.image.health), "healthy without a worker")
    worker = container.worker("--local", QUEUE)
    try:
        _wait(lambda: container.succeeds(*container.image.health), "the health check to pass")
    finally:
        _stop(worker)


def _idle_stop(container: Container) -> None:
    """SIGTERM ends an idle worker at once, with 0."""
    worker = container.worker("--local", QUEUE, "--idle-poll-interval", "3600", "--poll-interval", "3600")
    _read_until(worker, "worker started")
    _hold(_stop(worker) == 0, "an idle worker did not end with 0")


def _busy_stop(container: Container) -> None:
    """SIGTERM gives a task back that needs longer than the grace."""
    task = _submit(container, *_SLOW)
    worker = container.worker("--local", QUEUE, "--engine", "fake", "--grace", "0")
    _read_until(worker, '"event": "denoising"')
    _hold(_stop(worker) == 0, "a busy worker did not end with 0")
    status = container.headless("status", "--local", QUEUE, task)
    _hold("Queued" in status, f"the task was not given back: {status}")


def _job(container: Container, *options: str) -> None:
    task = _submit(container)
    container.answer(*container.image.entrypoint, "--local", QUEUE, "--until-idle", *options)
    status = container.headless("status", "--local", QUEUE, task)
    _hold("Complete" in status, f"the task did not complete: {status}")


def _submit(container: Container, *options: str) -> str:
    return container.headless("submit", "--local", QUEUE, "--file", "examples/demo.json", *options)


def _stop(worker: subprocess.Popen[str]) -> int:
    worker.terminate()
    _, said = worker.communicate(timeout=_SECONDS)
    if worker.returncode != 0:
        print(said)
    return worker.returncode


def _read_until(worker: subprocess.Popen[str], words: str) -> None:
    for line in worker.stderr or ():
        if words in line:
            return
    raise TrialFailed(f"the worker ended with {worker.wait()} before it said: {words}")


def _wait(until: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _SECONDS
    while not until():
        if time.monotonic() > end:
            raise TrialFailed(f"waited {_SECONDS:.0f} s for {what}")
        time.sleep(0.5)


def _hold(condition: bool, otherwise: str) -> None:
    if not condition:
        raise TrialFailed(otherwise)
