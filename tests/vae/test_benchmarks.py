"""The benchmarks of the VAE run from a checkout and say what they compare. Nothing here looks at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def printed(script: str, *options: str) -> Any:
    """The JSON that a benchmark prints, run as its own page says."""
    command = [sys.executable, f"benchmarks/{script}", *options, "--rounds", "1", "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_encode() -> None:
    found = printed("vae_encode.py", "--weights", "tiny", "--size", "16x24", "--frames", "33")
    assert {"cpu", "load", "threads", "python", "torch", "diffusers"} <= set(found["machine"])
    by_clip = {row["clip"]: row for row in found["results"]}
    assert len(by_clip) == 5
    assert all(row["equal"] is True for row in by_clip.values())
    assert by_clip["moving"]["flops_share"] == 1.0
    assert by_clip["start + grey"]["flops_share"] < by_clip["9 frames + grey + end"]["flops_share"] < 1


def test_decode() -> None:
    found = printed("vae_decode.py", "--size", "16x24", "--frames", "9,33")
    peaks = {(row["side"], row["frames"]): row["peak_mb"] for row in found["results"]}
    hashes = {(row["side"], row["frames"]): row["sha256"] for row in found["results"]}
    for frames in (9, 33):
        assert hashes["ours", frames] == hashes["diffusers", frames]
    assert peaks["ours", 33] <= 1.02 * peaks["ours", 9]
    assert peaks["diffusers", 33] > peaks["ours", 33]
