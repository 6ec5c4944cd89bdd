"""The help page of `worker.py`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from headless.options import EnvironmentOptions, add_connection_options, make_parser

MEMORY_PLANS = ("auto", "resident", "swap", "mmgp:1", "mmgp:2", "mmgp:3", "mmgp:4", "mmgp:5", "stream")

WEIGHTS = ("auto", "unpacked", "packed")

ATTENTION_KERNELS = ("auto", "_flash_3", "_native_cudnn", "native", "sage")

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


def worker_parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    """Every option of a worker."""
    parser = make_parser(
        "worker.py", "Takes video tasks from a queue, generates them here, publishes the results.", _EPILOG
    )
    add_connection_options(parser, environ)
    _add_running(parser, environ)
    _add_engine(parser, environ)
    _add_inputs(parser, environ)
    _add_logs(parser, environ)
    return parser


def _add_running(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    run = EnvironmentOptions(parser.add_argument_group("running"), environ)
    run.value(
        "--worker",
        "HEADLESS_WORKER",
        "name of this worker (default: host name, and the GPUs that it may use)",
        metavar="ID",
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
        "--grace",
        "HEADLESS_GRACE",
        "seconds that a task may still take after SIGTERM; a longer one is given back",
        metavar="S",
        default="30",
    )
    _add_watching(run)
    _add_folders(run)


def _add_watching(run: EnvironmentOptions) -> None:
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
        "an engine that ends no step for so long, and for 8 usual steps, or says nothing for half an hour, "
        "hangs: the worker leaves with 70",
        metavar="S",
        default="60",
    )


def _add_folders(run: EnvironmentOptions) -> None:
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


def _add_engine(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
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
    engine.value(
        "--weights",
        "HEADLESS_WEIGHTS",
        f"weights that a file has packed, in memory: {', '.join(WEIGHTS)}; auto keeps them packed where that "
        "allows a faster memory plan",
        metavar="HOW",
        default="auto",
    )
    engine.value(
        "--attention",
        "HEADLESS_ATTENTION",
        f"attention kernel: {', '.join(ATTENTION_KERNELS)}; auto takes the fastest exact one that works",
        metavar="NAME",
        default="auto",
    )
    engine.switch("--compile", "HEADLESS_COMPILE", "compile the transformers when a model is loaded")
    engine.value(
        "--cache-dir",
        "HEADLESS_CACHE_DIR",
        "keep compiled kernels and prompts' embeddings in this folder between runs",
        metavar="DIR",
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


def _add_inputs(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
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


def _add_logs(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    logs = EnvironmentOptions(parser.add_argument_group("logs"), environ)
    logs.switch("--debug", "HEADLESS_DEBUG", "also print [SVI_DEBUG] and other details")
    logs.value(
        "--log-format",
        "HEADLESS_LOG_FORMAT",
        "auto (text on a terminal, JSON otherwise), text or json",
        metavar="FORMAT",
        default="auto",
    )
