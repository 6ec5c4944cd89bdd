"""A pull that is killed half way leaves nothing that counts as present, and the next one goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import save

from tests.crash.polling import PATIENCE, until
from tests.models_cli.conftest import REPOSITORY, ROLES, ROOT, Store, tiny_tree
from tests.models_cli.hub_server import HubServer

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
PIECE = 10 * 1024 * 1024
"""The client writes in pieces of this size."""


def large() -> bytes:
    """Three pieces."""
    data: bytes = save({"blocks.0.weight": torch.arange(8_000_000, dtype=torch.float32)})
    return data


def test_kill_9_half_way(store: Store, hub: HubServer) -> None:
    data = large()
    hub.publish(REPOSITORY, tiny_tree() | {WEIGHTS: data})
    hub.stall_after[WEIGHTS] = PIECE + 1000
    command = [sys.executable, "-m", "headless", "models", "pull", "little", *store.arguments]
    environ = {**os.environ, "HF_ENDPOINT": hub.url}
    with subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True) as pulling:
        assert hub.stalled.wait(PATIENCE)
        until(lambda: bool(_staged(store, PIECE)), lambda: "the first piece in the file")
        (part,) = _staged(store, PIECE)
        pulling.send_signal(signal.SIGKILL)
        assert pulling.wait(PATIENCE) == -signal.SIGKILL

    assert store.states() == dict.fromkeys(ROLES, "missing")
    assert not (store.folder / "Little-Wan").exists()
    assert store.verify("little").status == 1
    kept = part.stat().st_size
    assert PIECE <= kept < len(data)

    hub.stall_after.clear()
    hub.asked.clear()
    store.pulled("little")
    ranges = [asked.range for asked in hub.bodies() if asked.path.endswith(WEIGHTS)]
    assert ranges[0] == f"bytes={kept}-"
    assert store.file("transformer").read_bytes() == data
    assert store.states() == dict.fromkeys(ROLES, "present")
    assert store.verify("little").status == 0
    assert not (store.folder / ".pulling").exists()


def _staged(store: Store, size: int) -> list[Path]:
    """Growing files of at least this size."""
    found = (store.folder / ".pulling").glob("*.part")
    return [path for path in found if path.stat().st_size >= size]
