"""`models list` and `models verify`: what is here, and whether it is what was pulled."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.terminal import run
from tests.models_cli.conftest import ROLES, Store
from tests.tools.constructed import TINY


def test_the_tiny_model_is_always_here() -> None:
    (row,) = json.loads(run("models", "list", "wan_tiny_i2v", "--json").out)
    assert row["complete"] is True
    assert {part["role"] for part in row["parts"]} == set(ROLES)
    assert run("models", "verify", "wan_tiny_i2v").status == 0


def test_the_list_names_every_model_and_place() -> None:
    said = run("models", "list")
    assert said.status == 0
    assert "i2v_2_2_svi2pro" in said.out
    assert "missing     Wan2.2-I2V-A14B-Diffusers/transformer_2\n" in said.out
    assert "loras/SVI_v2_PRO_Wan2.2-I2V-A14B_HIGH_lora_rank_128_fp16.safetensors" in said.out


def test_a_model_that_is_named_must_be_whole() -> None:
    assert run("models", "verify", "i2v_2_2").status == 1
    assert run("models", "verify").status == 0


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def swapped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("damage", "listed", "says"),
    [
        (cut, "damaged", "bytes, not"),
        (swapped, "present", "another SHA-256"),
        (Path.unlink, "damaged", "is missing"),
    ],
)
def test_damage_is_found(store: Store, damage: Callable[[Path], None], listed: str, says: str) -> None:
    store.pulled("little")
    damage(store.file("text_encoder"))
    assert store.states()["text_encoder"] == listed
    said = store.verify()
    assert said.status == 1
    assert says in said.err
    assert "pull the model again" in said.err


def unfinished(folder: Path) -> None:
    cut(folder / "vae" / "diffusion_pytorch_model.safetensors")


def without_weights(folder: Path) -> None:
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()


def without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer" / "tokenizer.json").unlink()


def without_a_shard(folder: Path) -> None:
    index = folder / "vae" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "two.safetensors"}}))


def with_a_broken_index(folder: Path) -> None:
    (folder / "vae" / "diffusion_pytorch_model.safetensors.index.json").write_text("[]")


@pytest.mark.parametrize(
    "damage", [unfinished, without_weights, without_tokenizer, without_a_shard, with_a_broken_index]
)
def test_copies_that_are_not_whole_are_not_present(store: Store, damage: Callable[[Path], None]) -> None:
    """Files that came by hand have no recorded hash; their structure tells."""
    shutil.copytree(TINY, store.folder / "Little-Wan")
    assert set(store.states().values()) == {"unrecorded"}
    damage(store.folder / "Little-Wan")
    assert list(store.states().values()).count("damaged") == 1
    assert "incomplete" in run("models", "list", "little", *store.arguments).out


def test_gguf_files_are_looked_into(store: Store) -> None:
    import struct

    store.define("packed", files={}, URLs=["https://huggingface.co/a/b/resolve/main/x.gguf"], URLs2=None)
    (store.folder / "x.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))
    assert store.states("packed")["transformer"] == "unrecorded"
    (store.folder / "x.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 1, 0))
    assert store.states("packed")["transformer"] == "damaged"


def test_a_definition_without_files_is_told(store: Store) -> None:
    store.define("empty", files=None, URLs=None, URLs2=None, architecture="nothing")
    said = run("models", "list", "empty", *store.arguments)
    assert said.status == 1
    assert "names no files" in said.err
