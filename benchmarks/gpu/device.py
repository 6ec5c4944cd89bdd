"""The device of a benchmark, and what is said where there is none."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Final

import diffusers
import torch

from benchmarks.queues.machine import machine

NO_GPU: Final = 3
"""Exit status: this machine cannot run the benchmark at full size."""
GB: Final = 10**9


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all of them take."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    made.add_argument("--device", default="cuda", help="cuda, cuda:N, or cpu with --tiny")
    made.add_argument("--tiny", action="store_true", help="small networks: tries the code, measures nothing")
    made.add_argument("--size", default="480x832", help="height x width in pixels")
    made.add_argument("--frames", type=int, default=81, help="4k+1")
    made.add_argument("--pairs", type=int, default=5, help="how often each side is timed, in turns")
    made.add_argument("--json", action="store_true", help="end with one JSON line")
    return made


def device_of(options: argparse.Namespace, benchmark: str, needed_gb: float) -> torch.device:
    """The device asked for. Ends the process, and says what to do, where it is not there or too small."""
    device = torch.device(options.device)
    if device.type == "cuda":
        _need_gpu(options, device, benchmark, 0.0 if options.tiny else needed_gb)
    elif not options.tiny:
        _refuse(options, benchmark, f"networks of full size do not run on {device.type}")
    return device


def about(device: torch.device) -> dict[str, Any]:
    """What the figures depend on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    versions = {"torch": torch.__version__, "cuda": torch.version.cuda, "diffusers": diffusers.__version__}
    return machine() | versions | {"device": name, "threads": torch.get_num_threads()}


def dtype_of(device: torch.device) -> torch.dtype:
    """As the engine chooses it: bfloat16 on a GPU."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def sides(size: str) -> tuple[int, int]:
    """Height and width in pixels of `480x832`. Raises `ValueError`."""
    height, width = map(int, size.split("x"))
    if height % 16 or width % 16:
        raise ValueError(f"--size is {size}; both sides must be multiples of 16")
    return height, width


def _need_gpu(options: argparse.Namespace, device: torch.device, benchmark: str, needed_gb: float) -> None:
    if not torch.cuda.is_available():
        _refuse(options, benchmark, f"torch {torch.__version__} sees none here")
    free, _ = torch.cuda.mem_get_info(device)
    if free < needed_gb * GB:
        _refuse(options, benchmark, f"{needed_gb:g} GB must be free on it, and {free / GB:.0f} GB are")


def _refuse(options: argparse.Namespace, benchmark: str, why: str) -> None:
    print(
        f"{benchmark} needs a GPU: {why}.\nRun it on a machine with one (an NVIDIA card, its driver and a "
        f"CUDA build of torch), or try its code with --tiny --device cpu, which measures nothing.",
        file=sys.stderr,
    )
    if options.json:
        print(json.dumps({"benchmark": benchmark, "needs": "GPU", "why": why}))
    raise SystemExit(NO_GPU)
