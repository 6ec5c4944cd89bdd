"""What holds for every file: nothing of the machine that it was written on, and scripts that are sound."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.scripts.tracked import REPOSITORY, files, texts

# In parts, so that this file does not hold what it looks for.
REGISTRIES = (
    "pypi" + ".org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "npm" + "js.com",
    "deb.debian" + ".org",
    "snapshot.debian" + ".org",
    "crates" + ".io",
    "docker" + ".io",
    "ghcr" + ".io",
)
MACHINE_PATH = re.compile(r"(?<![\w.}/])/(?:work|root|opt|tmp/w)(?:/|\b(?=[\s\"'`]))")
SCRIPTS = sorted(
    path for path in files() if path.parent.name in ("scripts", ".ci") and not path.suffix and path.is_file()
)


def test_no_registry_is_named() -> None:
    named = [(str(path), host) for path, text in texts() for host in REGISTRIES if host in text.lower()]
    assert named == []


def test_no_path_of_a_machine_is_named() -> None:
    named = [(str(path), found[0]) for path, text in texts() if (found := MACHINE_PATH.search(text))]
    assert named == []


@pytest.mark.parametrize("folder", ["work", "root", "opt"])
@pytest.mark.parametrize("text", ["cd /{}/main", '"/{}/wheels"', "/{}/.cache", "see `/{}`"])
def test_a_path_of_a_machine_would_be_found(text: str, folder: str) -> None:
    assert MACHINE_PATH.search(text.format(folder))


@pytest.mark.parametrize("text", ["network/opt/in", "./work/out", "tmp/root", "/rooted", "{base}/work/x"])
def test_other_paths_may_be_named(text: str) -> None:
    assert not MACHINE_PATH.search(text)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_can_be_started_and_stops_at_the_first_error(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)
    assert text.startswith("#!/usr/bin/env bash\n# ")
    assert "\nset -euo pipefail\n" in text
    assert '\ncd "$(dirname "$0")/.."\n' in text
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_scripts_that_are_promised_are_there() -> None:
    promised = {"setup", "check", "test", "bench", "demo", "test-services", "try-image", "soak", "run"}
    assert promised <= {script.name for script in SCRIPTS}


def test_what_lands_has_passed_checks_and_tests() -> None:
    run = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^scripts/check$", run, re.MULTILINE)
    assert re.search(r"^scripts/test$", run, re.MULTILINE)
