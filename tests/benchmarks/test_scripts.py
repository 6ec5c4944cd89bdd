"""Each benchmark runs from a checkout, says what it measures, and ends with one line of JSON."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py") if path.name != "__init__.py")


def run(script: str, *options: str) -> str:
    command = [sys.executable, f"benchmarks/{script}", *options]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def told(script: str, *options: str) -> Any:
    """The last line."""
    return json.loads(run(script, *options, "--json").splitlines()[-1])


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_says_what_is_measured_and_offers_json(script: str) -> None:
    source = (ROOT / "benchmarks" / script).read_text(encoding="utf-8")
    text = ast.get_docstring(ast.parse(source)) or ""
    assert f"python benchmarks/{script}" in text
    assert "[--json]" in text
    assert len(text) > 300, "what is measured, and how"
    assert "ArgumentParser(description=__doc__" in source or "machine.parser(__doc__)" in source
    assert 'add_argument("--json"' in source or "machine.parser(" in source, "the parser of benchmarks/gpu"


def test_overhead() -> None:
    pace = ["--engine-ms", "10", "--fetch-ms", "5", "--upload-ms", "5"]
    found = told("overhead.py", "--jobs", "3", "--rounds", "1", *pace)
    assert found["pace_ms"] == {"engine": 10.0, "fetch": 5.0, "upload": 5.0}
    assert [round_["jobs"] for round_ in found["rounds"]] == [3]
    assert min(found["ratio"], found["bare"], found["serial"]) > 0
    assert {"cpu", "cores", "load", "python"} <= set(found["machine"])


def test_chain_overhead() -> None:
    small = ["--segments", "3", "--rounds", "1", "--engine-ms", "20", "--upload-ms", "1", "--frames", "9"]
    found = told("chain_overhead.py", *small)
    assert found["chain"]["segments"] == 3
    assert min(found["ratio"], found["bare"]) > 0
    assert list(found["movie_ms"]) == ["12", "24"]


def test_claims() -> None:
    found = told("queue.py", "--only", "claims", "--claims", "20")
    claims = found["claim_ms"]
    assert set(claims) == {
        "ours, PostgREST",
        "ours, PostgREST behind a gateway",
        "ours, SQLite",
        "procrastinate",
        "pgqueuer",
    }
    assert all(one["claims"] == 20 and 0 < one["p50"] <= one["p99"] for one in claims.values())
    assert found["target_met"] is (claims["ours, PostgREST"]["p50"] < found["target_ms"])
    assert {"postgresql", "procrastinate", "pgqueuer", "supabase"} <= set(found["machine"])


def test_an_unknown_part_is_refused_by_name() -> None:
    command = [sys.executable, "benchmarks/queue.py", "--only", "claims,speed"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert ran.returncode == 2
    assert "speed is unknown; name some of claims,throughput,starts,recovery" in ran.stderr
