"""A run in which something was skipped has failed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SKIPS = {
    "mark": "@pytest.mark.skip(reason='no card')\ndef test_it() -> None: ...\n",
    "call": "def test_it() -> None:\n    pytest.skip('no card')\n",
    "fixture": "@pytest.fixture\ndef card():\n    pytest.skip('no card')\n\ndef test_it(card) -> None: ...\n",
    "module": "pytest.skip('no card', allow_module_level=True)\n",
    "import": "pytest.importorskip('no_card')\n\ndef test_it() -> None: ...\n",
}
RUNS = {
    "passes": "def test_it() -> None: ...\n",
    "expected": "@pytest.mark.xfail\ndef test_it() -> None:\n    raise AssertionError\n",
    "gpu": "@pytest.mark.gpu\ndef test_it() -> None: ...\n",
}


def run_pytest(folder: Path, files: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run files of tests under this repository's configuration and root conftest."""
    tests = folder / "tests"
    tests.mkdir()
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    shutil.copy(REPOSITORY / "tests" / "conftest.py", tests)
    for name, program in files.items():
        (tests / f"test_{name}.py").write_text(f"import pytest\n\n{program}", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_every_way_to_skip_is_a_failure(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, SKIPS)
    assert run.returncode == 1, run.stdout
    blamed = re.findall(r"^(?:FAILED|ERROR) tests/test_(\w+)\.py", run.stdout, re.MULTILINE)
    assert sorted(blamed) == sorted(SKIPS)
    assert "= 1 failed, 4 errors in" in run.stdout, run.stdout
    assert run.stdout.count("install what is missing or deselect the test. Skipped: no card") >= 4


def test_the_rest_is_as_ever_and_tests_that_need_a_gpu_are_deselected(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, RUNS)
    assert run.returncode == 0, run.stdout
    assert "1 passed, 1 deselected, 1 xfailed" in run.stdout
