"""A hub with the tiny model on it, a models folder that names it, and the commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from tests.cli.terminal import Said, run
from tests.models_cli.hub_server import HubServer, Tree
from tests.tools.constructed import TINY

ROOT = Path(__file__).resolve().parent.parent.parent
REPOSITORY = "somebody/Little-Wan"
SINGLE = "others/files"
STYLE = "styles/high"
ROLES = ("transformer", "transformer_2", "vae", "text_encoder", "tokenizer")


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub of these tests is on this machine; elsewhere the tests go nowhere."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def tiny_tree() -> Tree:
    """The tiny model as a repository, with files that nobody should fetch beside it."""
    tree = {
        f"{role}/{path.relative_to(TINY / role).as_posix()}": path.read_bytes()
        for role in ROLES
        for path in sorted((TINY / role).rglob("*"))
        if path.is_file()
    }
    return tree | {"README.md": b"x" * 500, "transformer/pytorch_model.bin": b"x" * 500}


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        server.publish(REPOSITORY, tiny_tree())
        weights = (TINY / "transformer" / "diffusion_pytorch_model.safetensors").read_bytes()
        names = ("high_fp16", "low_fp16", "high_fp8", "low_fp8")
        server.publish(SINGLE, {f"split files/{name}.safetensors": weights for name in names})
        server.publish(STYLE, {"style.safetensors": weights})
        yield server


class Store:
    """A models folder with the definition `little`."""

    def __init__(self, folder: Path, hub: HubServer) -> None:
        self.folder = folder
        self.hub = hub
        (folder / "configs").mkdir(parents=True)
        self.define()

    def define(self, name: str = "little", **changes: Any) -> None:
        """Write a definition."""
        resolve = f"https://huggingface.co/{SINGLE}/resolve/main/split%20files"
        model = {
            "name": "Little Wan",
            "architecture": "i2v_2_2",
            "repository": REPOSITORY,
            "files": {role: f"Little-Wan/{role}" for role in ROLES},
            "URLs": [f"{resolve}/high_fp16.safetensors", f"{resolve}/high_fp8.safetensors"],
            "URLs2": [f"{resolve}/low_fp16.safetensors", f"{resolve}/low_fp8.safetensors"],
        }
        text = json.dumps({"model": {k: v for k, v in (model | changes).items() if v is not None}})
        (self.folder / "configs" / f"{name}.json").write_text(text)

    @property
    def arguments(self) -> list[str]:
        return ["--models-dir", str(self.folder)]

    def pull(self, *arguments: str) -> Said:
        return run("models", "pull", *arguments, *self.arguments, "--hf-endpoint", self.hub.url)

    def pulled(self, *arguments: str) -> str:
        """What a pull that must work says on its way."""
        said = self.pull(*arguments)
        assert said.status == 0, said.err
        return said.err

    def verify(self, *arguments: str) -> Said:
        return run("models", "verify", *arguments, *self.arguments)

    def states(self, model: str = "little") -> dict[str, str]:
        """Role -> state, as `models list` tells it."""
        (row,) = json.loads(run("models", "list", model, *self.arguments, "--json").out)
        return {part["role"]: part["state"] for part in row["parts"]}

    def file(self, role: str) -> Path:
        """The weights of a role."""
        folder = self.folder / "Little-Wan" / role
        return next(path for path in folder.rglob("*") if path.suffix == ".safetensors")


@pytest.fixture
def store(tmp_path: Path, hub: HubServer) -> Store:
    return Store(tmp_path / "models", hub)
