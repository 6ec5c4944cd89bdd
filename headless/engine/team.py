"""Rank 0's side of a worker of several ranks, and the commands that it gives.

Rank 0 does everything that a lone worker does. Where it loads a model, puts LoRAs into an expert or runs one,
the other ranks (`headless.engine.follower`) do the same at the same time. A failure of one is everybody's:
rank 0 raises it, and what it does next, such as a step down in memory, it tells the others to do as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, cast

import structlog
import torch
from torch import Tensor, nn

from headless import errors
from headless.engine.context_parallel import split_transformer
from headless.engine.links import Links, Message, PeerFailed
from headless.errors import HeadlessError, InternalError, OutOfMemory, RankLost

log = structlog.get_logger(__name__)


class Team(Protocol):
    """Whoever computes besides this process."""

    @property
    def size(self) -> int:
        """How many ranks there are, this one included."""

    def together(self, command: dict[str, Any]) -> AbstractContextManager[None]:
        """What is done in the block, the others do too; where one of them fails, the block fails.

        Raises what went wrong elsewhere, memory that ran out as torch does.
        """

    def split(self, transformer: nn.Module, part: str) -> None:
        """Let everybody compute this part of the model together, whenever it is called."""


class Alone:
    """Implements `Team` for a worker of one rank."""

    size = 1

    def together(self, command: dict[str, Any]) -> AbstractContextManager[None]:
        """Nobody else is told."""
        del command
        return nullcontext()

    def split(self, transformer: nn.Module, part: str) -> None:
        """The part stays whole."""


class Member:
    """Implements `Team` for the ranks that follow."""

    def __init__(self, links: Links) -> None:
        self._links = links

    @property
    def size(self) -> int:
        """How many ranks there are."""
        return self._links.size

    def together(self, command: dict[str, Any]) -> AbstractContextManager[None]:
        """Everybody is at it already."""
        del command
        return nullcontext()

    def split(self, transformer: nn.Module, part: str) -> None:
        """Split it."""
        del part
        split_transformer(transformer, self._links)


class Leader:
    """Implements `Team` for rank 0."""

    def __init__(self, links: Links) -> None:
        self._links = links

    @property
    def size(self) -> int:
        """How many ranks there are."""
        return self._links.size

    @contextmanager
    def together(self, command: dict[str, Any]) -> Iterator[None]:
        """Tell the others, and agree with them at the end."""
        self._links.tell(command)
        failures: list[Message] = []
        try:
            with agreed(self._links, failures):
                yield
        except PeerFailed:
            pass
        if failures:
            log.warning("another rank cannot go on", ranks=told_by_rank(failures))
            raise error_of(failures)

    def split(self, transformer: nn.Module, part: str) -> None:
        """Split it, and have the others called whenever it is called."""
        split_transformer(transformer, self._links)
        network: Any = transformer
        whole = network.forward

        def forward(**inputs: Any) -> Any:
            tensors = {name: value for name, value in inputs.items() if isinstance(value, Tensor)}
            with self.together(run_command(part, tensors)):
                self._links.share([tensor.contiguous() for tensor in tensors.values()])
                return whole(**inputs)

        network.forward = forward

    def dismiss(self) -> None:
        """Let the others go. They leave by themselves when a rank has died."""
        if self._links.broken:
            return
        try:
            self._links.tell({"do": "stop"})
        except RankLost as error:
            log.warning("the other ranks cannot be told to stop", why=error.message)


def load_command(files: Sequence[tuple[str, Path]], dtype: torch.dtype, plan: str) -> dict[str, Any]:
    """Load the experts of a model under a memory plan."""
    named = [[role, str(path)] for role, path in files]
    return {"do": "load", "files": named, "dtype": str(dtype).removeprefix("torch."), "plan": plan}


def run_command(part: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Run an expert on tensors of these shapes, which are shared next."""
    shapes = {
        name: [list(tensor.shape), str(tensor.dtype).removeprefix("torch.")]
        for name, tensor in tensors.items()
    }
    return {"do": "run", "part": part, "tensors": shapes}


RELEASE = {"do": "release"}
"""Let the model go."""


@contextmanager
def agreed(links: Links, failures: list[Message]) -> Iterator[None]:
    """A piece of work that all ranks do, and that fails on all where it fails on one.

    The own error passes through; another rank's is put into `failures`, by rank, and `PeerFailed` raised.
    """
    try:
        yield
        links.agree()
    except RankLost:
        raise
    except PeerFailed:
        failures.extend(links.compare(None))
        raise
    except Exception as error:
        links.agree(failed=True)
        links.compare(verdict(error))
        raise


def verdict(error: Exception) -> Message:
    """What the other ranks hear of an error: a class of the error tree, and the sentence."""
    if not isinstance(error, HeadlessError):
        return {"class": InternalError.__name__, "message": f"{type(error).__name__}: {error}"}
    known = next(kind for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind)
    return {"class": known.__name__, "message": error.message}


def told_by_rank(failures: Sequence[Message]) -> dict[int, str]:
    """What each rank that failed says."""
    return {rank: str(told["message"]) for rank, told in enumerate(failures) if told is not None}


def error_of(failures: Sequence[Message]) -> Exception:
    """The first failure as it is raised here; memory that ran out as torch raises it."""
    rank, told = next((rank, told) for rank, told in enumerate(failures) if told is not None)
    kind = cast("type[HeadlessError]", getattr(errors, told["class"]))
    message = f"Rank {rank}: {told['message']}"
    return torch.OutOfMemoryError(message) if kind is OutOfMemory else kind(message)
