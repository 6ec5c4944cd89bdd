"""Fixtures of the tests of several ranks."""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from headless.engine import loading
from headless.logs import configure
from models.registry import Registry, load_models_def
from models.vae import WanVae
from tests.engine.conftest import ROOT
from tests.worker.place import place

__all__ = ["place"]


@pytest.fixture(autouse=True)
def one_load_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading weights replaces parts of torch for a moment, and here the ranks are threads."""
    lock = threading.RLock()

    def alone(load: Callable[..., Any]) -> Callable[..., Any]:
        def locked(*arguments: Any, **named: Any) -> Any:
            with lock:
                return load(*arguments, **named)

        return locked

    for name in ("load_transformer", "load_text_encoder", "load_clip_vision"):
        monkeypatch.setattr(loading, name, alone(getattr(loading, name)))
    monkeypatch.setattr(WanVae, "load", alone(WanVae.load))


@pytest.fixture(autouse=True)
def plain_log() -> None:
    """As a worker's, and not with every local variable of a traceback: those are whole networks."""
    configure(debug=False, log_format="json", stream=io.StringIO())


@pytest.fixture
def registry() -> Registry:
    return load_models_def(ROOT / "configs")


@pytest.fixture(autouse=True)
def user_signal() -> Iterator[None]:
    """What a test does with the ranks' own signal ends with it."""
    before = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, before)
