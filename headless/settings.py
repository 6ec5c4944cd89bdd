"""Settings of the worker and of the command line: the only reader of the environment and of arguments.

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

MEMORY_PLANS = ("auto", "resident", "swap")


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


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """The layout of every help page."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=108)


def make_parser(prog: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """A parser in the product's layout; long options are never abbreviated."""
    return argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog=epilog,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )


class EnvironmentOptions:
    """Adds options whose default comes from an environment variable, and says so in the help."""

    def __init__(self, group: argparse._ActionsContainer, environ: Mapping[str, str]) -> None:
        self._group = group
        self._environ = environ

    def value(self, flag: str, variable: str, help_text: str, *, metavar: str, default: str = "") -> None:
        """An option with a value."""
        shown = f"{help_text} [{variable}{'; default ' + default if default else ''}]"
        self._group.add_argument(
            flag, metavar=metavar, default=self._environ.get(variable, default), help=shown.replace("%", "%%")
        )

    def switch(self, flag: str, variable: str, help_text: str) -> None:
        """An option that is on or off."""
        on = self._environ.get(variable, "").strip().lower()
        if on not in ("", "0", "1", "true", "false", "yes", "no", "on", "off"):
            raise UsageError(f"{variable}={on!r} is neither on nor off. Set it to 1 or 0.")
        self._group.add_argument(
            flag,
            action=argparse.BooleanOptionalAction,
            default=on in ("1", "true", "yes", "on"),
            help=f"{help_text} [{variable}]",
        )

    def secret(self, flag: str, variable: str, help_text: str, *, metavar: str) -> None:
        """A secret, given as a value or as a file that holds it. Never shown, not even as a default."""
        self._group.add_argument(
            flag, metavar=metavar, default=None, help=f"{help_text} [{variable}, or {variable}_FILE]"
        )
        self._group.add_argument(
            f"{flag}-file", metavar="PATH", default=None, help=f"file that holds it ({flag})"
        )


def read_secret(
    arguments: argparse.Namespace, environ: Mapping[str, str], flag: str, variable: str
) -> SecretStr | None:
    """The secret of `flag`: argument, then its file, then the variable, then the variable's file."""
    name = flag.lstrip("-").replace("-", "_")
    value = getattr(arguments, name)
    if value is None and (path := getattr(arguments, f"{name}_file")) is not None:
        value = _secret_file(path)
    if value is None:
        value = environ.get(variable)
    if not value and (path := environ.get(f"{variable}_FILE")):
        value = _secret_file(path)
    return SecretStr(value.strip()) if value and value.strip() else None


def _secret_file(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The secret file {path} cannot be read ({error}). Give a readable text file."
        ) from error
    if not text.strip():
        raise UsageError(f"The secret file {path} is empty. Put the token into it, on one line.")
    return text


def add_connection_options(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    """`--local` or `--supabase-url` and what goes with it."""
    options = EnvironmentOptions(
        parser.add_argument_group("queue and storage (one of --local, --supabase-url)"), environ
    )
    options.value(
        "--local",
        "HEADLESS_LOCAL",
        "folder with a queue and storage of its own, made on first use",
        metavar="DIR",
    )
    options.value("--supabase-url", "SUPABASE_URL", "address of a Supabase project", metavar="URL")
    options.secret(
        "--supabase-access-token",
        "SUPABASE_ACCESS_TOKEN",
        "a user's access token or a gpu_worker token",
        metavar="TOKEN",
    )
    options.secret(
        "--supabase-secret-key", "SUPABASE_SECRET_KEY", "secret key of a trusted fleet", metavar="KEY"
    )
    options.secret(
        "--supabase-anon-key",
        "SUPABASE_ANON_KEY",
        "the project's publishable key, sent beside an access token",
        metavar="KEY",
    )
    options.value("--supabase-bucket", "SUPABASE_BUCKET", "storage bucket", metavar="NAME", default="videos")


def read_connection(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Connection:
    """The chosen queue. `UsageError` unless exactly one is named, with its token."""
    local, url = arguments.local.strip(), arguments.supabase_url.strip()
    explicit_local = local and not environ.get("HEADLESS_LOCAL")
    if local and url:
        if explicit_local and environ.get("SUPABASE_URL") == url:
            url = ""
        else:
            raise UsageError("Both --local and --supabase-url are set. Name one queue.")
    if local:
        return Connection(local=Path(local).expanduser())
    if not url:
        raise UsageError(
            "No queue is named. Add --local DIR for a queue in a folder, or --supabase-url URL with a token."
        )
    if not url.startswith(("http://", "https://")):
        raise UsageError(
            f"--supabase-url {url!r} is not an address. It looks like https://PROJECT.supabase.co"
        )
    token = read_secret(arguments, environ, "--supabase-access-token", "SUPABASE_ACCESS_TOKEN")
    token = token or read_secret(arguments, environ, "--supabase-secret-key", "SUPABASE_SECRET_KEY")
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


def _optional_path(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


_EPILOG = """\
examples:
  python worker.py --local queue --until-idle
      run everything that waits in the folder `queue`, then stop
  python worker.py --debug --supabase-url https://PROJECT.supabase.co --supabase-access-token TOKEN
      wait for tasks of a Supabase project; tokens are better kept in SUPABASE_ACCESS_TOKEN or in a file

Queue work with `python -m headless submit`.
Ctrl-C finishes or gives back the current task; twice leaves at once.
exit status: 0 stopped as asked, 1 this machine could not run a task, 2 wrong settings, 70 the engine
hangs, 130 left at once
"""


def _worker_parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = make_parser(
        "worker.py", "Takes video tasks from a queue, generates them here, publishes the results.", _EPILOG
    )
    add_connection_options(parser, environ)
    run = EnvironmentOptions(parser.add_argument_group("running"), environ)
    run.value(
        "--worker", "HEADLESS_WORKER", "name of this worker (default host name and process id)", metavar="ID"
    )
    run.switch("--until-idle", "HEADLESS_UNTIL_IDLE", "stop when the queue is empty")
    run.switch("--once", "HEADLESS_ONCE", "run one task, then stop")
    run.value(
        "--poll-interval",
        "HEADLESS_POLL_INTERVAL",
        "seconds between looks at a queue that had work",
        metavar="S",
        default="1",
    )
    run.value(
        "--idle-poll-interval",
        "HEADLESS_IDLE_POLL_INTERVAL",
        "the longest wait between looks at an empty queue",
        metavar="S",
        default="5",
    )
    run.value(
        "--lease-seconds",
        "HEADLESS_LEASE_SECONDS",
        "with --local: how long after a worker's last sign another one takes its task over",
        metavar="S",
        default="60",
    )
    run.value(
        "--stall-seconds",
        "HEADLESS_STALL_SECONDS",
        "an engine that ends no step for so long, and for 8 usual steps, hangs: the worker leaves with 70",
        metavar="S",
        default="60",
    )
    run.value(
        "--grace",
        "HEADLESS_GRACE",
        "seconds that a task may still take after SIGTERM; a longer one is given back",
        metavar="S",
        default="30",
    )
    run.value(
        "--output-dir", "HEADLESS_OUTPUT_DIR", "also leave every finished task's files here", metavar="DIR"
    )
    run.value(
        "--work-dir",
        "HEADLESS_WORK_DIR",
        "folder for running tasks and for results on their way out (default: beside the queue)",
        metavar="DIR",
    )
    run.value(
        "--health-file", "HEADLESS_HEALTH_FILE", "file touched while the worker is alive", metavar="PATH"
    )
    engine = EnvironmentOptions(parser.add_argument_group("models and device"), environ)
    engine.value(
        "--models-dir",
        "HEADLESS_MODELS_DIR",
        "your configs/, loras/ and weights; they win over the shipped ones",
        metavar="DIR",
    )
    engine.value("--preload", "HEADLESS_PRELOAD", "load this model before the first task", metavar="MODEL")
    engine.value(
        "--memory",
        "HEADLESS_MEMORY",
        f"memory plan: {', '.join(MEMORY_PLANS)}",
        metavar="PLAN",
        default="auto",
    )
    engine.value("--device", "HEADLESS_DEVICE", "auto, cpu, cuda or cuda:N", metavar="DEVICE", default="auto")
    engine.value(
        "--engine",
        "HEADLESS_ENGINE",
        "wan, or fake: numbered frames without a model, for trying a frontend",
        metavar="NAME",
        default="wan",
    )
    engine.value(
        "--fake-step-seconds",
        "HEADLESS_FAKE_STEP_SECONDS",
        "with --engine fake: seconds that a denoising step takes",
        metavar="S",
        default="0.1",
    )
    inputs = EnvironmentOptions(parser.add_argument_group("inputs"), environ)
    inputs.value(
        "--allow-hosts",
        "HEADLESS_ALLOW_HOSTS",
        "private hosts that inputs may come from, as HOST or HOST:PORT, separated by commas",
        metavar="HOSTS",
    )
    inputs.value("--max-input-mb", "HEADLESS_MAX_INPUT_MB", "largest input file", metavar="MB", default="512")
    inputs.value(
        "--lora-hosts",
        "HEADLESS_LORA_HOSTS",
        "hosts that LoRAs may be fetched from, separated by commas",
        metavar="HOSTS",
        default="huggingface.co",
    )
    logs = EnvironmentOptions(parser.add_argument_group("logs"), environ)
    logs.switch("--debug", "HEADLESS_DEBUG", "also print [SVI_DEBUG] and other details")
    logs.value(
        "--log-format",
        "HEADLESS_LOG_FORMAT",
        "auto (text on a terminal, JSON otherwise), text or json",
        metavar="FORMAT",
        default="auto",
    )
    return parser


def worker_settings(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> WorkerSettings:
    """Settings of `worker.py`. Raises `UsageError`; `--help` prints the page and exits with 0."""
    a = _worker_parser(environ).parse_args(argv)
    return WorkerSettings(
        connection=read_connection(a, environ),
        worker_id=a.worker or f"{socket.gethostname()}-{os.getpid()}",
        engine=_choice("--engine", a.engine, ("wan", "fake")),
        fake_step_seconds=_number("--fake-step-seconds", a.fake_step_seconds, 0, 3600),
        device=a.device,
        memory=_choice("--memory", a.memory, MEMORY_PLANS),
        models=ModelFolders(_optional_path(a.models_dir)),
        preload=a.preload or None,
        output_dir=_optional_path(a.output_dir),
        work_dir=_optional_path(a.work_dir),
        poll_interval=_number("--poll-interval", a.poll_interval, 0.01, 3600),
        idle_poll_interval=_number("--idle-poll-interval", a.idle_poll_interval, 0.01, 3600),
        stall_seconds=_number("--stall-seconds", a.stall_seconds, 0.1, 86400),
        lease_seconds=_number("--lease-seconds", a.lease_seconds, 0.1, 86400),
        grace=_number("--grace", a.grace, 0, 86400),
        until_idle=a.until_idle,
        once=a.once,
        allowed_hosts=_listed(a.allow_hosts),
        lora_hosts=_listed(a.lora_hosts),
        max_input_mb=int(_number("--max-input-mb", a.max_input_mb, 1, 100_000)),
        health_file=_optional_path(a.health_file),
        debug=a.debug,
        log_format=_choice("--log-format", a.log_format, ("auto", "text", "json")),
    )
