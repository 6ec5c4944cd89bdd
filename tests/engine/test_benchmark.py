"""The benchmark ends with one JSON line, and only equal results count."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.engine.conftest import ROOT


def test_the_pipeline_benchmark_compares_equal_results() -> None:
    small = ["--model", "tiny", "--size", "32x48", "--frames", "5", "--pairs", "1", "--json"]
    command = [sys.executable, "benchmarks/pipeline_cpu.py", *small]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    summary = json.loads(ran.stdout.splitlines()[-1])
    assert summary["equal"] is True
    assert summary["ratio"] > 0
    assert all(case["over_floor"] > 0 and case["ceilings"]["matmul_tflops"] > 0 for case in summary["cases"])
    assert [case["images"] for case in summary["cases"]] == ["start", "start and last"]
