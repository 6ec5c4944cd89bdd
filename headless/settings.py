"""Settings of the worker and of the command line. Here alone the environment and the arguments are read.

Every option is also an environment variable; an argument wins over the variable. Secrets may come from a
file (`..._FILE`), as container platforms mount them, and are kept as `SecretStr` so that they never print.
"""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from headless.errors import UsageError
from headless.logs import without_tokens
from headless.options import (
    EnvironmentOptions,
    HelpFormatter,
    add_connection_options,
    make_parser,
    read_secret,
)
from headless.rank_place import ALONE, RankPlace, read_place
from headless.worker_options import ATTENTION_KERNELS, MEMORY_PLANS, WEIGHTS, worker_parser

__all__ = [
    "MEMORY_PLANS",
    "Connection",
    "EnvironmentOptions",
    "HelpFormatter",
    "ModelFolders",
    "WorkerSettings",
    "add_connection_options",
    "make_parser",
    "read_connection",
    "read_secret",
    "worker_settings",
]


@dataclass(frozen=True)
class Connection:
    """Which queue and storage to use: a local folder, or a Supabase project."""

    local: Path | None = None
    supabase_url: str | None = None
    token: SecretStr | None = None
    anon_key: SecretStr | None = None
    bucket: str = "videos"

    def secrets(self) -> tuple[str, ...]:
        """Texts that must never reach a log."""
        return tuple(s.get_secret_value() for s in (self.token, self.anon_key) if s is not None)


@dataclass(frozen=True)
class ModelFolders:
    """Where definitions, weights and LoRAs lie. The shipped ones are always there; the user's come on top."""

    user: Path | None = None


@dataclass(frozen=True)
class WorkerSettings:
    """Everything that a worker process is told from outside."""

    connection: Connection
    worker_id: str
    engine: str = "wan"
    fake_step_seconds: float = 0.1
    device: str = "auto"
    memory: str = "auto"
    weights: str = "auto"
    attention: str = "auto"
    compile: bool = False
    cache_dir: Path | None = None
    models: ModelFolders = ModelFolders()
    preload: str | None = None
    output_dir: Path | None = None
    work_dir: Path | None = None
    poll_interval: float = 1.0
    idle_poll_interval: float = 5.0
    lease_seconds: float = 60.0
    stall_seconds: float = 60.0
    grace: float = 30.0
    until_idle: bool = False
    once: bool = False
    allowed_hosts: tuple[str, ...] = ()
    lora_hosts: tuple[str, ...] = ("huggingface.co",)
    max_input_mb: int = 512
    health_file: Path | None = None
    debug: bool = False
    log_format: str = "auto"
    place: RankPlace = ALONE
    """Which of torchrun's processes this is."""


def read_connection(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Connection:
    """The chosen queue. `UsageError` unless exactly one is named, with its token."""
    local, url = _named_queue(arguments, environ)
    if local:
        return Connection(local=_path("--local", local))
    if not url:
        raise UsageError(
            "No queue is named. Add --local DIR for a queue in a folder, or --supabase-url URL with a token."
        )
    if not url.startswith(("http://", "https://")):
        raise UsageError(
            f"--supabase-url {without_tokens(url)!r} is not an address. "
            "It looks like https://PROJECT.supabase.co"
        )
    token = _token(arguments, {}) or _token(arguments, environ)
    if token is None:
        raise UsageError(
            "--supabase-url needs a token: --supabase-access-token, SUPABASE_ACCESS_TOKEN, "
            "SUPABASE_SECRET_KEY, or one of them with _FILE."
        )
    return Connection(
        supabase_url=url.rstrip("/"),
        token=token,
        anon_key=read_secret(arguments, environ, "--supabase-anon-key", "SUPABASE_ANON_KEY"),
        bucket=arguments.supabase_bucket,
    )


def _token(arguments: argparse.Namespace, environ: Mapping[str, str]) -> SecretStr | None:
    """An access token, else a secret key."""
    token = read_secret(arguments, environ, "--supabase-access-token", "SUPABASE_ACCESS_TOKEN")
    return token or read_secret(arguments, environ, "--supabase-secret-key", "SUPABASE_SECRET_KEY")


def _named_queue(arguments: argparse.Namespace, environ: Mapping[str, str]) -> tuple[str, str]:
    """The folder or the URL, the other one empty. An argument wins over a variable that names the other."""
    local, url = arguments.local.strip(), arguments.supabase_url.strip()
    if not local or not url:
        return local, url
    of_arguments = arguments.local != environ.get("HEADLESS_LOCAL"), url != environ.get("SUPABASE_URL")
    if of_arguments == (True, False):
        return local, ""
    if of_arguments == (False, True):
        return "", url
    raise UsageError("Both --local and --supabase-url are set. Name one queue.")


def _number(flag: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise UsageError(f"{flag} {text!r} is not a number from {low:g} to {high:g}.")
    return value


def _choice(flag: str, text: str, legal: Sequence[str]) -> str:
    if text not in legal:
        raise UsageError(f"{flag} {text!r} is not known. Use one of: {', '.join(legal)}.")
    return text


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _path(flag: str, text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{flag} {text!r} begins with the home folder of nobody here.") from error


def _optional_path(flag: str, text: str) -> Path | None:
    return _path(flag, text) if text else None


def _machine(environ: Mapping[str, str]) -> str:
    """The same name after a restart: two crashes on one machine are not two machines' word against a task."""
    gpus = environ.get("CUDA_VISIBLE_DEVICES", "").replace(",", "+")
    return f"{socket.gethostname()}-gpu{gpus}" if gpus else socket.gethostname()


def worker_settings(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> WorkerSettings:
    """Settings of `worker.py`. Raises `UsageError`; `--help` prints the page and exits with 0."""
    a = worker_parser(environ).parse_args(argv)
    place = read_place(environ)
    _check_ranks(place, a)
    return WorkerSettings(
        connection=read_connection(a, environ),
        worker_id=a.worker or _machine(environ),
        engine=_choice("--engine", a.engine, ("wan", "fake")),
        fake_step_seconds=_number("--fake-step-seconds", a.fake_step_seconds, 0, 3600),
        device=a.device,
        memory=_choice("--memory", a.memory, MEMORY_PLANS),
        weights=_choice("--weights", a.weights, WEIGHTS),
        attention=_choice("--attention", a.attention, ATTENTION_KERNELS),
        compile=a.compile,
        cache_dir=_optional_path("--cache-dir", a.cache_dir),
        models=ModelFolders(_optional_path("--models-dir", a.models_dir)),
        preload=a.preload or None,
        output_dir=_optional_path("--output-dir", a.output_dir),
        work_dir=_optional_path("--work-dir", a.work_dir),
        poll_interval=_number("--poll-interval", a.poll_interval, 0.01, 3600),
        idle_poll_interval=_number("--idle-poll-interval", a.idle_poll_interval, 0.01, 3600),
        stall_seconds=_number("--stall-seconds", a.stall_seconds, 0.1, 86400),
        lease_seconds=_number("--lease-seconds", a.lease_seconds, 0.1, 86400),
        grace=_number("--grace", a.grace, 0, 86400),
        until_idle=a.until_idle,
        once=a.once,
        allowed_hosts=_listed(a.allow_hosts),
        lora_hosts=_listed(a.lora_hosts.lower()),
        max_input_mb=int(_number("--max-input-mb", a.max_input_mb, 1, 100_000)),
        health_file=_optional_path("--health-file", a.health_file),
        debug=a.debug,
        log_format=_choice("--log-format", a.log_format, ("auto", "text", "json")),
        place=place,
    )


def _check_ranks(place: RankPlace, a: argparse.Namespace) -> None:
    """Refuse what one process alone can do."""
    if place.size == 1:
        return
    alone = {
        "--engine fake": a.engine == "fake",
        f"--memory {a.memory}": a.memory.startswith("mmgp"),
        "--weights packed": a.weights == "packed",
        f"--device {a.device}": a.device.startswith("cuda:"),
    }
    for flag, given in alone.items():
        if given:
            raise UsageError(
                f"{flag} is for a worker of one process, and torchrun started {place.size} ranks. "
                "Leave it out, or start python worker.py without torchrun."
            )
