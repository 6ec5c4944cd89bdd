"""The shipped text-to-video definitions: fetched at their commit, listed, verified."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.terminal import run
from tests.models_cli.conftest import ROLES, tiny_tree
from tests.models_cli.hub_server import HubServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("model", ["t2v", "t2v_1.3B", "t2v_2_2"])
def test_pulled_at_the_pinned_commit(tmp_path: Path, hub: HubServer, model: str) -> None:
    definition = json.loads((ROOT / "configs" / f"{model}.json").read_text())["model"]
    roles = [role for role in ROLES if role in definition["files"]]
    # The stand-in knows no branch of the repository: nothing but the commit finds anything.
    hub.commits[definition["repository"]] = {definition["revision"]: tiny_tree()}
    folder = ["--models-dir", str(tmp_path)]
    assert run("models", "verify", model, *folder).status == 1
    said = run("models", "pull", model, *folder, "--hf-endpoint", hub.url)
    assert said.status == 0, said.err
    (row,) = json.loads(run("models", "list", model, *folder, "--json").out)
    assert row["complete"] is True
    assert {part["role"]: part["state"] for part in row["parts"]} == dict.fromkeys(roles, "present")
    assert run("models", "verify", model, *folder).status == 0
    assert (tmp_path / definition["files"]["transformer"]).is_dir()
