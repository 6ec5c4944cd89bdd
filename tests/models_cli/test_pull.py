"""`models pull`: everything that a model needs, whole and checked, or nothing under its name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from headless.fingerprint import sha256_of
from headless.model_store.record import git_hash_of
from tests.cli.terminal import run
from tests.models_cli.conftest import REPOSITORY, ROLES, SINGLE, STYLE, Store, tiny_tree
from tests.models_cli.hub_server import HubServer, git_hash
from tests.tools.constructed import TINY

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


def record(store: Store) -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = json.loads((store.folder / "pulled.json").read_text())
    return loaded


def test_a_model_arrives_whole_and_pinned(store: Store, hub: HubServer) -> None:
    assert set(store.states().values()) == {"missing"}
    store.pulled("little")
    assert store.states() == dict.fromkeys(ROLES, "present")
    commit = hub.branches[f"{REPOSITORY}@main"]
    told = record(store)
    assert told["revisions"] == {f"{REPOSITORY}@main": commit}
    for name, data in tiny_tree().items():
        path = store.folder / "Little-Wan" / name
        if path.suffix in {".bin", ".md"}:
            assert not path.exists()
            continue
        assert path.read_bytes() == data
        assert told["files"][f"Little-Wan/{name}"]["sha256"] == sha256_of(path)
        assert told["files"][f"Little-Wan/{name}"]["commit"] == commit
    assert not (store.folder / ".pulling").exists()
    assert store.verify("little").status == 0


def test_what_was_pulled_runs(store: Store) -> None:
    """The engine finds and loads exactly these files."""
    import torch

    from headless.engine.model_files import ModelFiles
    from models.weights import load_transformer

    store.pulled("little")
    definition = json.loads((store.folder / "configs" / "little.json").read_text())["model"]
    found = ModelFiles("little", definition, [store.folder]).find("transformer")
    assert found == store.folder / "Little-Wan" / "transformer"
    load_transformer(found, dtype=torch.float32, device=torch.device("cpu"))


def test_a_second_pull_asks_for_nothing(store: Store, hub: HubServer) -> None:
    store.pulled("little")
    before = len(hub.asked)
    store.pulled("little")
    assert hub.asked[before:] == []


def test_a_branch_is_pinned_by_the_first_pull_until_update(store: Store, hub: HubServer) -> None:
    store.pulled("little")
    first = hub.branches[f"{REPOSITORY}@main"]
    changed = tiny_tree() | {"vae/config.json": tiny_tree()["vae/config.json"] + b"\n"}
    second = hub.publish(REPOSITORY, changed)
    shutil.rmtree(store.folder / "Little-Wan" / "vae")
    store.pulled("little")
    vae = store.folder / "Little-Wan" / "vae" / "config.json"
    assert vae.read_bytes() == tiny_tree()["vae/config.json"]
    assert {asked.path.split("/")[4] for asked in hub.bodies()} == {first}
    store.pulled("little", "--update")
    assert vae.read_bytes() == changed["vae/config.json"]
    assert record(store)["revisions"] == {f"{REPOSITORY}@main": second}
    assert store.verify("little").status == 0


def test_a_commit_in_the_definition_is_what_is_fetched(store: Store, hub: HubServer) -> None:
    first = hub.branches[f"{REPOSITORY}@main"]
    hub.publish(REPOSITORY, {"vae/config.json": b"{}"})
    store.define(revision=first)
    store.pulled("little")
    assert store.states() == dict.fromkeys(ROLES, "present")
    assert not [asked for asked in hub.asked if "/revision/" in asked.path]


def test_single_files_are_picked_by_name(store: Store, hub: HubServer) -> None:
    store.pulled("little", "--pick", "fp8")
    assert (store.folder / "high_fp8.safetensors").is_file()
    assert (store.folder / "low_fp8.safetensors").is_file()
    assert not (store.folder / "Little-Wan" / "transformer").exists()
    assert store.states() == dict.fromkeys(ROLES, "present")
    assert f"{SINGLE}@main" in record(store)["revisions"]
    assert "fits no single file" in store.pull("little", "--pick", "int4").err
    store.define(URLs=None, URLs2=None)
    assert "no single files" in store.pull("little", "--pick", "fp8").err


def test_loras_come_along_unless_told_otherwise(store: Store, hub: HubServer) -> None:
    store.define(loras=[f"https://huggingface.co/{STYLE}/resolve/main/style.safetensors"])
    store.pulled("little", "--no-loras")
    assert store.states()["lora"] == "missing"
    store.pulled("little")
    assert (store.folder / "loras" / "style.safetensors").is_file()
    assert store.states()["lora"] == "present"


def test_parts_of_the_architecture_come_from_its_repository(store: Store) -> None:
    store.define("base")
    store.define("fine", architecture="base", repository=None, files={}, URLs2=None)
    store.pulled("fine")
    assert store.states("fine") == dict.fromkeys(set(ROLES) - {"transformer_2"}, "present")


def test_what_is_already_here_is_recorded_and_not_fetched(store: Store, hub: HubServer) -> None:
    shutil.copytree(TINY, store.folder / "Little-Wan")
    assert set(store.states().values()) == {"unrecorded"}
    store.pulled("little")
    assert hub.bodies() == []
    assert store.states() == dict.fromkeys(ROLES, "present")


def test_somebodys_own_file_is_left_alone(store: Store, hub: HubServer) -> None:
    shutil.copytree(TINY, store.folder / "Little-Wan")
    own = store.folder / "Little-Wan" / "vae" / "config.json"
    own.write_text("{}")
    said = store.pull("little")
    assert said.status == 2
    assert "move it away" in said.err
    assert own.read_text() == "{}"


def test_a_damaged_file_is_fetched_again(store: Store, hub: HubServer) -> None:
    store.pulled("little")
    store.file("vae").write_bytes(store.file("vae").read_bytes()[:-1])
    assert store.states()["vae"] == "damaged"
    store.pulled("little")
    assert store.states()["vae"] == "present"
    assert store.verify().status == 0


def test_wrong_bytes_never_get_the_name(store: Store, hub: HubServer) -> None:
    right = tiny_tree()[WEIGHTS]
    hub.lies[WEIGHTS] = right[:-1] + bytes([right[-1] ^ 1])
    said = store.pull("little")
    assert said.status == 1
    assert "arrived with wrong bytes" in said.err
    assert store.states()["transformer"] == "missing"
    hub.lies.clear()
    store.pulled("little")
    assert store.verify("little").status == 0


def test_an_answer_that_is_too_short_is_no_file(store: Store, hub: HubServer) -> None:
    hub.lies[WEIGHTS] = tiny_tree()[WEIGHTS][:1000]
    assert store.pull("little").status == 1
    assert store.states()["transformer"] == "missing"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_part_that_is_there_is_gone_on_from(store: Store, hub: HubServer, ranges: bool) -> None:
    """Also from a server that sends the whole file whatever it was asked for."""
    hub.lies[WEIGHTS] = tiny_tree()[WEIGHTS][:1000]
    hub.ranges = ranges
    store.pull("little")
    hub.lies.clear()
    hub.asked.clear()
    assert "of it here already" in store.pulled("little")
    asked = {a.path.rpartition("resolve/")[2].partition("/")[2]: a.range for a in hub.bodies()}
    assert asked[WEIGHTS] == "bytes=1000-"
    assert store.verify("little").status == 0


def test_tokens_are_sent_to_those_who_ask_and_never_shown(store: Store, hub: HubServer) -> None:
    hub.gated.add(REPOSITORY)
    said = store.pull("little")
    assert said.status == 1
    assert "--hf-token-file" in said.err
    secret = "hf_0123456789abcdef"
    token = store.folder / "token"
    token.write_text(secret)
    hub.asked.clear()
    said = store.pull("little", "--hf-token-file", str(token))
    assert said.status == 0, said.err
    assert {asked.token for asked in hub.asked} == {secret}
    assert secret not in said.out + said.err


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"repository": "nobody/Little-Wan"}, "nobody/Little-Wan is not on"),
        ({"revision": "0" * 40}, "has no revision 000"),
        ({"repository": None}, "Nothing says where the vae"),
        ({"files": {role: f"Little-Wan/{role}/no" for role in ROLES}}, "holds nothing that can be used"),
    ],
)
def test_what_is_not_there_is_named(store: Store, changes: dict[str, Any], says: str) -> None:
    store.define(**changes)
    said = store.pull("little")
    assert said.status == 1
    assert says in said.err
    assert "Traceback" not in said.err


def test_a_hub_that_does_not_answer(store: Store) -> None:
    said = run("models", "pull", "little", *store.arguments, "--hf-endpoint", "http://127.0.0.1:9")
    assert said.status == 1
    assert "Pull again" in said.err


def test_no_room_is_told_before_anything_is_fetched(
    store: Store, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(store.folder)
    monkeypatch.setattr(
        "headless.model_store.pull.shutil.disk_usage", lambda _: usage._replace(free=1_000_000_000)
    )
    said = store.pull("little")
    assert said.status == 1
    assert "1.0 GB free" in said.err
    assert hub.bodies() == []


def test_two_pulls_at_once_are_refused(store: Store) -> None:
    import fcntl
    import os

    lock = os.open(store.folder / ".pulling.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        said = store.pull("little")
    finally:
        os.close(lock)
    assert said.status == 2
    assert "Another pull" in said.err


def test_wrong_use_is_told(store: Store) -> None:
    assert run("models").status == 2
    assert run("models", "pull", "little").status == 2
    assert "not known here" in store.pull("litle").err
    (store.folder / "pulled.json").write_text("{")
    assert "Move it away" in store.pull("little").err


def test_git_knows_files_by_this_hash(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hello\n")
    assert git_hash_of(tmp_path / "a") == "ce013625030ba8dba906f756967f9e9ca394464a" == git_hash(b"hello\n")
