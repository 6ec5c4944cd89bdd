"""Uses a built image as its users do: help, jobs, secrets, health check, signals, a queue out of reach."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from scripts.image.clean_root import CleanRoot
from scripts.image.container import Container, Host, TrialFailed
from scripts.image.dockerfile import Image

QUEUE = "/cache/queue"
_SECONDS = 120.0
_SLOW = ("--steps", "100")


def try_out(root: CleanRoot, image: Image, folder: Path) -> None:
    """Try everything, each in a new container; raises `TrialFailed` at the first thing that is wrong.

    `folder`: an empty one, for what the containers write.
    """
    host = Host(root, image, folder)
    for trial in _TRIALS:
        began = time.monotonic()
        with host.container() as container:
            trial(container)
        _tell(trial.__doc__, began)
    began = time.monotonic()
    _outlives(host)
    _tell(_outlives.__doc__, began)


def _tell(what: str | None, began: float) -> None:
    print(f"  {time.monotonic() - began:6.1f} s  {(what or '').rstrip('.')}", flush=True)


def _help(container: Container) -> None:
    """worker.py --help."""
    _hold(
        "--supabase-url" in container.answer(*container.image.entrypoint, "--help"), "the help is not there"
    )


def _models(container: Container) -> None:
    """The command that fetches weights knows the models, and which of them are in the volume."""
    listed = container.headless("models", "list")
    for model, state in (("wan_tiny_i2v", "complete"), ("i2v_2_2", "incomplete")):
        _hold(re.search(rf"^{model} +{state} ", listed, re.MULTILINE) is not None, listed)


def _doctor(container: Container) -> None:
    """The doctor finds nothing that fails."""
    found = container.headless("doctor", "--local", QUEUE)
    _hold(re.search("^fail", found, re.MULTILINE) is None, found)


def _not_root(container: Container) -> None:
    """Runs as a user, and may not write where it should not."""
    _hold(container.answer("id", "-u") != "0", "the image runs as root")
    _hold(not container.succeeds("test", "-w", "/etc"), "/etc is writable")


def _volumes(container: Container) -> None:
    """The volumes are writable."""
    for volume in container.image.volumes:
        _hold(container.succeeds("test", "-w", str(volume)), f"{volume} is not writable")


def _closed_volume(container: Container) -> None:
    """A work folder that cannot be written is named, and the worker ends with 2."""
    work = container.image.environment["HEADLESS_WORK_DIR"]
    volume = container.root.inside(work).parent
    volume.chmod(0o555)
    try:
        done = container.ends(*container.image.entrypoint, "--local", "queue", "--engine", "fake")
    finally:
        volume.chmod(0o755)
    _hold(done.returncode == 2 and work in done.stderr, f"{done.returncode}: {done.stderr}")


def _secret(container: Container) -> None:
    """A secret in a mounted file is read, and one that the user may not read is refused by name."""
    place = "/run/secrets/key"
    file = container.root.inside(place)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("sb_secret_of_the_trial\n", encoding="utf-8")
    # Nobody listens at this port, so that the worker gets as far as its queue.
    project = {"SUPABASE_URL": "http://127.0.0.1:9", "SUPABASE_SECRET_KEY_FILE": place}
    listing = (container.image.entrypoint[0], "-m", "headless", "list")
    for mode, status in ((0o444, 1), (0o400, 2)):
        file.chmod(mode)
        done = container.ends(*listing, **project)
        _hold(done.returncode == status, f"mode {mode:o}: {done.returncode} instead of {status}")
        _hold("sb_secret" not in done.stdout + done.stderr, "the secret was printed")
    _hold(place in done.stderr, f"the file is not named: {done.stderr}")


def _fake_job(container: Container) -> None:
    """A job on the fake engine."""
    _job(container, "--engine", "fake")


def _tiny_job(container: Container) -> None:
    """A job on the tiny model."""
    _job(container)


def _health(container: Container) -> None:
    """The health check fails before the worker lives and passes while it does."""
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
    container.headless("cancel", "--local", QUEUE, task)


def _outlives(host: Host) -> None:
    """A result that the queue did not hear of outlives its container; the next one delivers it."""
    fake = ("--local", QUEUE, "--engine", "fake", "--grace", "0")
    with host.container() as first:
        task = _submit(first, *_SLOW)
        worker = first.worker(*fake)
        _read_until(worker, '"event": "denoising"')
        with _out_of_reach(first.root.inside(f"{QUEUE}/queue.sqlite3")):
            _read_until(worker, "the completion did not get through")
            _hold(_stop(worker) == 0, "a worker without a queue did not end with 0")
    with host.container() as second:
        second.answer(*second.image.entrypoint, *fake, "--until-idle")
        told = json.loads(second.headless("status", "--local", QUEUE, task, "--json"))
        _hold(told["status"] == "Complete", f"the result was lost: {told}")
        _hold(told["attempts"] == 1, f"the task was generated again: {told}")


_TRIALS = (
    _help,
    _models,
    _not_root,
    _volumes,
    _closed_volume,
    _doctor,
    _secret,
    _fake_job,
    _tiny_job,
    _health,
    _idle_stop,
    _busy_stop,
)


@contextmanager
def _out_of_reach(queue: Path) -> Iterator[None]:
    """Nobody else can write to the queue meanwhile."""
    with closing(sqlite3.connect(queue, isolation_level=None, timeout=_SECONDS)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


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
