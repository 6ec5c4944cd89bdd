"""What passes between the ranks of one worker: commands, agreement, tensors.

All ranks make the same calls in the same order. Commands and agreement are small and go over the loopback
interface whatever the device is; so a rank that cannot go on is heard of before anybody waits for its
tensors, and one that has died is noticed at once, because its connections close.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import torch
import torch.distributed as dist
from torch import Tensor

from headless.errors import RankLost

Message: TypeAlias = dict[str, Any] | None
"""What JSON can say."""


class Work(Protocol):
    """A collective under way."""

    def wait(self) -> Any:
        """Wait for it; on a GPU the stream waits."""


class Group(Protocol):
    """What is used of torch's process groups."""

    def broadcast(self, tensors: list[Tensor], opts: Any) -> Work:
        """From one rank to all."""

    def allreduce(self, tensors: list[Tensor], opts: Any) -> Work:
        """Reduce, in place."""

    def alltoall_base(
        self, output: Tensor, given: Tensor, output_splits: list[int], given_splits: list[int], /
    ) -> Work:
        """A part of everybody's flat tensor to everybody."""

    def _allgather_base(self, output: Tensor, given: Tensor, /) -> Work:
        """Everybody's tensor to everybody."""


class PeerFailed(Exception):
    """Another rank cannot go on with the piece of work; this one must stop it, too."""


@dataclass(frozen=True)
class Exchange:
    """One flat tensor for `alltoall_base`, and what comes for it. Splits in elements, one per rank."""

    given: Tensor
    given_splits: Sequence[int]
    output: Tensor
    output_splits: Sequence[int]


class Links:
    """The links of one rank. `idle` carries commands, `talk` agreement, `data` tensors of the device.

    Every call raises `RankLost` if a rank has died, or has not answered in the groups' time; `on_broken` is
    called before the first.
    """

    def __init__(
        self,
        rank: int,
        size: int,
        *,
        idle: Group,
        talk: Group,
        data: Group,
        on_broken: Callable[[], None] = lambda: None,
    ) -> None:
        self.rank, self.size = rank, size
        self.broken = False
        self._on_broken = on_broken
        self._idle, self._talk, self._data = idle, talk, data

    def tell(self, command: Message) -> None:
        """Send a command from rank 0 to the others, which wait in `hear`."""
        self._pass_on(self._idle, 0, command)

    def hear(self) -> Message:
        """Wait for a command, for as long as it takes."""
        return self._pass_on(self._idle, 0, None)

    def agree(self, *, failed: bool = False) -> None:
        """Meet all ranks. Raises `PeerFailed` on every rank that has not failed while another one has."""
        problem = torch.tensor([int(failed)])
        options = dist.AllreduceOptions()
        options.reduceOp = dist.ReduceOp(dist.ReduceOp.MAX)
        self._through(self._talk.allreduce, [problem], options)
        if problem.item() and not failed:
            raise PeerFailed

    def compare(self, own: Message) -> list[Message]:
        """What each rank says, by rank."""
        return [self._pass_on(self._talk, rank, own) for rank in range(self.size)]

    def share(self, tensors: Sequence[Tensor]) -> None:
        """Fill contiguous tensors of all ranks with rank 0's. All agree before."""
        self.agree()
        for tensor in tensors:
            self._through(self._data.broadcast, [tensor], dist.BroadcastOptions())

    def swap(self, exchanges: Sequence[Exchange]) -> None:
        """Carry out exchanges whose memory has been taken already. All agree before."""
        self.agree()
        for e in exchanges:
            self._through(
                self._data.alltoall_base, e.output, e.given, list(e.output_splits), list(e.given_splits)
            )

    def gather(self, output: Tensor, given: Tensor) -> None:
        """Lay every rank's `given` behind one another. All agree before."""
        self.agree()
        self._through(self._data._allgather_base, output, given)

    def _pass_on(self, group: Group, source: int, message: Message) -> Message:
        options = dist.BroadcastOptions()
        options.rootRank = source
        text = bytearray(json.dumps(message).encode() if source == self.rank else b"")
        size = torch.tensor([len(text)])
        self._through(group.broadcast, [size], options)
        if source != self.rank:
            text = bytearray(int(size.item()))
        content = torch.frombuffer(text, dtype=torch.uint8)
        self._through(group.broadcast, [content], options)
        told: Message = json.loads(text)
        return told

    def _through(self, collective: Callable[..., Work], *arguments: Any) -> None:
        if self.broken:
            raise RankLost(_LOST)
        try:
            collective(*arguments).wait()
        except RuntimeError as error:
            self.broken = True
            self._on_broken()
            raise RankLost(f"{_LOST} ({str(error).splitlines()[0]})") from error


_LOST: Final = (
    "Another rank of this worker has died or no longer answers. Its log says why; start all ranks anew."
)
