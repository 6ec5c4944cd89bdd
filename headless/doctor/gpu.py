"""The GPU and its driver, seen from two sides: the driver's own tool, and the torch that is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headless.doctor.finding import Finding, fail, ok, warn

Run = Callable[[Sequence[str]], "Ran"]
_SMI: Final = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits")
_PROBE: Final = """
import json, torch
told = {"torch": torch.__version__, "cuda": torch.version.cuda, "devices": []}
try:
    for index in range(torch.cuda.device_count()):
        name, total = torch.cuda.get_device_name(index), torch.cuda.get_device_properties(index).total_memory
        free = torch.cuda.mem_get_info(index)[0]
        four = float((torch.ones(4, device=f"cuda:{index}") * 2).sum())
        told["devices"].append({"name": name, "total": total, "free": free, "computes": four == 8.0})
except Exception as error:
    told["error"] = str(error).splitlines()[0]
print(json.dumps(told))
"""
"""Runs in a process of its own: a torch that is broken, or that hangs, must not take this one along."""
_SECONDS: Final = 120.0
_SMALL: Final = 22e9
"""Below this the 14 billion parameter models run only by moving weights about."""


@dataclass(frozen=True)
class Ran:
    """How a program ended and what it wrote; status None where it could not run."""

    status: int | None
    out: str
    err: str = ""


def run_program(command: Sequence[str]) -> Ran:
    """Run a program to its end, for as long as a slow first start takes at most."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except FileNotFoundError:
        return Ran(None, "", "it is not installed")
    except (OSError, subprocess.TimeoutExpired) as error:
        return Ran(None, "", str(error))
    return Ran(done.returncode, done.stdout, done.stderr)


def check_gpu(device: str, run: Run = run_program) -> list[Finding]:
    """The findings `gpu` and `driver` for `--device`."""
    seen = run(_SMI)
    if device == "cpu":
        return [ok("gpu", "not asked for (--device cpu)"), _driver(seen)]
    torch = run([sys.executable, "-c", _PROBE])
    if torch.status != 0:
        last = (torch.err.strip() or "no explanation").splitlines()[-1]
        broken = fail("gpu", f"torch cannot be used: {last}", "Run scripts/setup again.")
        return [broken, _driver(seen)]
    told = json.loads(torch.out.splitlines()[-1])
    if told["devices"] and "error" not in told:
        return [_working(told), _driver(seen)]
    return [_idle(device, seen, told), _driver(seen)]


def _working(told: dict[str, Any]) -> Finding:
    devices = told["devices"]
    listed = ", ".join(
        f"{d['name']} with {d['free'] / 1e9:.0f} of {d['total'] / 1e9:.0f} GB free" for d in devices
    )
    if not all(device["computes"] for device in devices):
        return fail(
            "gpu", f"{listed}: adds wrongly", "Restart the machine; if it goes on, the card is broken."
        )
    if max(device["total"] for device in devices) < _SMALL:
        return warn(
            "gpu",
            f"{listed}; torch {told['torch']}",
            "A model of 14 billion parameters does not fit: it will run slowly, from main memory.",
        )
    return ok("gpu", f"{listed}; torch {told['torch']}")


def _idle(device: str, seen: Ran, told: dict[str, Any]) -> Finding:
    """Torch has no GPU; whose fault that is."""
    if "error" in told:
        return fail("gpu", told["error"], "Look at nvidia-smi: another program may hold all of its memory.")
    if seen.status == 0 and told["cuda"] is None:
        return fail(
            "gpu",
            f"there is a GPU, and torch {told['torch']} is a build without CUDA",
            "Install the CUDA build of the same torch version into .venv.",
        )
    if seen.status == 0:
        return fail(
            "gpu",
            f"there is a GPU, and torch {told['torch']} cannot reach it",
            f"Update the NVIDIA driver to one for CUDA {told['cuda']} (nvidia-smi shows which it is for).",
        )
    if device == "auto":
        return warn(
            "gpu", "none; everything runs on the CPU", "The tiny models run so; real ones need an NVIDIA GPU."
        )
    return fail(
        "gpu", f"none, and --device is {device}", "Start on a machine with a GPU, or with --device cpu."
    )


def _driver(seen: Ran) -> Finding:
    if seen.status is None:
        return warn(
            "driver",
            f"nvidia-smi cannot run: {seen.err}",
            "With a GPU: install NVIDIA's driver; in a "
            "container, start it with the GPU handed in (--gpus all).",
        )
    if seen.status != 0:
        last = (seen.out.strip() or seen.err.strip() or "no explanation").splitlines()[-1]
        return fail(
            "driver", f"nvidia-smi fails: {last}", "Install the driver again, or restart the machine."
        )
    versions = {line.split(",")[1].strip() for line in seen.out.splitlines() if line.count(",") >= 2}
    return ok("driver", f"NVIDIA {', '.join(sorted(versions))}")
