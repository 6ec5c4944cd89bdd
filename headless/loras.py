"""LoRA files of a plan: found in the LoRA folders, or fetched there once, from hosts that are allowed.

Many LoRAs on the web have the same file name, so what a task has fetched lies in a folder that its URL names,
`fetched/<hash>/`. What the operator put into a LoRA folder is found by its file name and comes after that.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from headless.errors import BadInput, BadParams, HeadlessError, ModelMissing, Unsafe
from headless.media.fetch import FetchLimits, fetch_url
from headless.media.guard import FetchPolicy, parse_url, redact_url
from headless.planning.loras import PlannedLora
from headless.segment import LoraUse
from models.lora_files import BadLora, LoraMissing, UnsafeLora, find_lora, lora_file_name

LORA_LIMITS = FetchLimits(max_bytes=8_000_000_000, total_seconds=3600.0)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class LoraSource:
    """Where LoRAs come from: `folders` in this order; downloads go to the first, from `hosts` only."""

    folders: tuple[Path, ...]
    hosts: frozenset[str]
    policy: FetchPolicy
    writable: bool = False
    """Whether the first folder is the user's own, into which files may be fetched."""


def locate_loras(
    planned: Sequence[PlannedLora], source: LoraSource, check: Callable[[], None]
) -> tuple[LoraUse, ...]:
    """A file for every LoRA of the plan.

    Raises `BadParams` for a LoRA of the request that is not there or not one, `ModelMissing` for one that the
    model itself needs, `Unsafe` for a name or host that is not allowed.
    """
    return tuple(
        LoraUse(name=redact_url(lora.name), path=_locate(lora, source, check), strengths=lora.strengths)
        for lora in planned
    )


def _locate(lora: PlannedLora, source: LoraSource, check: Callable[[], None]) -> Path:
    try:
        if "://" in lora.name:
            with suppress(LoraMissing):
                return find_lora(_fetched_name(lora.name), source.folders)
        return find_lora(lora.name, source.folders)
    except UnsafeLora as error:
        raise Unsafe(f"loras: {error}") from error
    except BadLora as error:
        raise _wrong(lora, str(error)) from error
    except LoraMissing as error:
        if "://" not in lora.name:
            raise _wrong(lora, f"{error} Put it into loras/ of --models-dir, or give a URL.") from error
        return _download(lora, source, check)


def _download(lora: PlannedLora, source: LoraSource, check: Callable[[], None]) -> Path:
    host = parse_url(lora.name, "loras").host
    if host not in source.hosts:
        raise Unsafe(
            f"loras: {host} is not a host that LoRAs may come from ({', '.join(sorted(source.hosts))}). "
            "The operator of the worker can add it with --lora-hosts."
        )
    if not source.writable:
        raise ModelMissing(
            f"The LoRA {redact_url(lora.name)} is not here and there is no folder to fetch it to. Start "
            "the worker with --models-dir DIR."
        )
    name = _fetched_name(lora.name)
    destination = source.folders[0] / name
    log.info("fetching a LoRA", source=redact_url(lora.name))
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        fetch_url(
            lora.name, destination, policy=source.policy, limits=LORA_LIMITS, check=check, field="loras"
        )
        return find_lora(name, source.folders[:1])
    except BadLora as error:
        destination.unlink(missing_ok=True)
        raise BadInput(f"loras: {error}") from error
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise ModelMissing(
            f"The LoRA {redact_url(lora.name)} cannot be put into {source.folders[0]} ({error.strerror}). "
            "Make the folder writable for the worker."
        ) from error


def _fetched_name(url: str) -> str:
    """Where a LoRA of this URL lies below a LoRA folder. A token in the query makes no other LoRA of it."""
    place = parse_url(url, "loras")
    address = f"{place.authority}{place.target.partition('?')[0]}"
    return f"fetched/{hashlib.sha256(address.encode()).hexdigest()[:16]}/{lora_file_name(url)}"


def _wrong(lora: PlannedLora, why: str) -> HeadlessError:
    """Whose fault a LoRA is that cannot be used: the machine's if the model brings it, else the task's."""
    return ModelMissing(why) if lora.of_model else BadParams(f"loras: {why}")
