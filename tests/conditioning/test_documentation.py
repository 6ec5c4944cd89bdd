"""The example in docs/conditioning.md runs and prints what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_example_runs() -> None:
    text = (ROOT / "docs" / "conditioning.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert example is not None
    output = subprocess.run(
        [sys.executable, "-c", example[1]],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ).stdout.splitlines()
    assert output[:2] == ["torch.Size([20, 10, 8, 12])", "34"]
    assert "num_frames" in output[2]


def test_every_picture_and_link_exists() -> None:
    text = (ROOT / "docs" / "conditioning.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    assert len(targets) > 10
    for target in targets:
        assert (ROOT / "docs" / target).exists(), target
