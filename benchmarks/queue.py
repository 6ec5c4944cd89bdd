"""Our queue beside procrastinate and pgqueuer: how quickly tasks are claimed, and what survives a fault.

    python benchmarks/queue.py [--only claims,throughput,starts,recovery] [--claims N] [--seconds N]
                               [--rounds N] [--engine-seconds N] [--json]

One run starts one PostgreSQL that commits to the disk, PostgREST and a gateway (a stand-in for that of a
Supabase project), and measures every queue in turns on it; ours on SQLite has a file on the same disk.

claims       one worker, 1,000 waiting tasks: milliseconds from asking for a task to having it; target: p50
             of ours through PostgREST under 5 ms
throughput   claims per second of 1, 4 and 16 worker processes, each finishing its task before the next
starts       milliseconds from queueing a task to its start on an idle worker
recovery     real workers under a supervisor, gone after 3 s of silence, polling every second: seconds from a
             SIGKILL, from cutting all connections under 8 tasks, from a crash of the database under 8 tasks,
             to the next start and until all are complete; tasks lost and done twice; engine seconds
             repeated per kill
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# This file's own folder goes: others would take this file for Python's `queue`.
sys.path[:] = [str(ROOT), *(e for e in sys.path if Path(e or ".").resolve() != ROOT / "benchmarks")]

from benchmarks.queues.claims import latencies, throughputs  # noqa: E402 - found by the lines above
from benchmarks.queues.machine import machine  # noqa: E402
from benchmarks.queues.recovery import LEASE, POLL, recoveries  # noqa: E402
from benchmarks.queues.servers import Servers, running  # noqa: E402
from benchmarks.queues.sides import POSTGREST  # noqa: E402
from benchmarks.queues.starts import enqueue_to_start  # noqa: E402

TARGET_MS = 5.0
PARTS = ("claims", "throughput", "starts", "recovery")
WORKERS = (1, 4, 16)


def measured(servers: Servers, options: argparse.Namespace) -> dict[str, Any]:
    """The chosen parts."""
    found: dict[str, Any] = {}
    if "claims" in options.only:
        found["claim_ms"] = {name: asdict(one) for name, one in latencies(servers, options.claims).items()}
        found["target_ms"] = TARGET_MS
        found["target_met"] = found["claim_ms"][POSTGREST]["p50"] < TARGET_MS
    if "throughput" in options.only:
        workers = [n for n in WORKERS if n <= options.workers]
        found["claims_per_second"] = throughputs(servers, workers, options.seconds, options.rounds)
    if "starts" in options.only:
        found["enqueue_to_start"] = enqueue_to_start(servers, options.rounds + 3)
    if "recovery" in options.only:
        found["recovery_settings_s"] = {"lease": LEASE, "poll": POLL, "engine": options.engine_seconds}
        found["recovery"] = recoveries(servers, options.rounds, options.engine_seconds)
    return found


def table(title: str, rows: dict[str, dict[Any, Any]]) -> None:
    """Rows of equal columns."""
    columns = list(next(iter(rows.values())))
    print(f"\n{title:<66}" + "".join(f"{column!s:>14}" for column in columns))
    for name, row in rows.items():
        print(f"{name:<66}" + "".join(f"{row[column]!s:>14}" for column in columns))


def show(report: dict[str, Any]) -> None:
    """For people."""
    print(", ".join(f"{name} {value}" for name, value in report["machine"].items()))
    for key, title in {
        "claim_ms": "claim, ms",
        "claims_per_second": "claims per second, by workers",
        "enqueue_to_start": "queued to started",
    }.items():
        if key in report:
            table(title, report[key])
    for fault, rows in report.get("recovery", {}).items():
        table(f"after {fault}", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", type=lambda text: text.split(","), default=PARTS, help=",".join(PARTS))
    parser.add_argument("--claims", type=int, default=400, help="claims per queue, for the latency")
    parser.add_argument("--workers", type=int, default=16, help="the most workers at once")
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of claiming, per queue, workers and round"
    )
    parser.add_argument("--rounds", type=int, default=5, help="of throughput and of each fault")
    parser.add_argument("--engine-seconds", type=float, default=2.0, help="of the task that is killed")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    unknown = set(options.only) - set(PARTS)
    if unknown:
        parser.error(f"--only {','.join(sorted(unknown))} is unknown; name some of {','.join(PARTS)}")
    about = machine("procrastinate", "pgqueuer", "asyncpg", "psycopg", "supabase", "httpx")
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as servers:
        report = {"machine": about | {"postgresql": servers.postgres_version}, **measured(servers, options)}
    show(report)
    if options.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
