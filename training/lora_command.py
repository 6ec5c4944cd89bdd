"""The command line of the scripts that train one LoRA of a pair."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from training.experts import EXPERTS, Expert


def lora_command(description: str | None, run: Callable[[Expert, Path, Path, Path], None]) -> None:
    """Parse `high|low` and the folders, then `run(expert, out, loras, work)` on one core."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("expert", choices=sorted(EXPERTS))
    parser.add_argument("--out", type=Path, default=Path("models/tiny"))
    parser.add_argument("--loras", type=Path, default=Path("models/loras"))
    parser.add_argument("--work", type=Path, default=Path("out/training"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    run(EXPERTS[options.expert], options.out, options.loras, options.work)
