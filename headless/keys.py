"""Names of stored objects.

`inputs/<owner>/<sha256><ext>`, `outputs/<owner>/<task>/<attempt>/<name>` and
`segments/<owner>/<sha256>.safetensors`.

A key is relative, `/`-separated and made of harmless characters only, so that it means the same on a disk,
in a URL and in a bucket. Everything else is `Unsafe`: there is no cleaning up, because a cleaned name can
collide with another one.
"""

from __future__ import annotations

import re
from typing import Final

from headless.errors import Unsafe

MAX_KEY: Final = 900
MAX_SEGMENT: Final = 200

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_ .,()=@+!'&~-]*[A-Za-z0-9_()=@+!'&~-])?", re.ASCII)
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.ASCII | re.IGNORECASE)
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_EXTENSION: Final = re.compile(r"(?:\.[a-z0-9]{1,10})?", re.ASCII)


def safe_key(key: str) -> str:
    """The key itself, when every part of it is safe; `Unsafe` otherwise."""
    if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY:
        raise Unsafe(f"the object key {_shown(key)} is not a text of 1 to {MAX_KEY} characters")
    if key.startswith("/") or "\\" in key or "%" in key:
        raise Unsafe(
            f"the object key {_shown(key)} must be relative and free of backslashes and percent signs"
        )
    for segment in key.split("/"):
        safe_segment(segment)
    return key


def safe_segment(segment: str) -> str:
    """One part of a key: 1 to 200 harmless characters, no dot or space at either end, no reserved name."""
    if not isinstance(segment, str) or not 0 < len(segment) <= MAX_SEGMENT:
        raise Unsafe(f"{_shown(segment)} in an object key is not a text of 1 to {MAX_SEGMENT} characters")
    if not _SEGMENT.fullmatch(segment):
        raise Unsafe(
            f"{_shown(segment)} in an object key is refused: it must start with a letter, a digit or '_', "
            "must not end in a dot, comma or space, and may hold only A-Z a-z 0-9 _ - . , space "
            "and ( ) = @ + ! ' & ~"
        )
    if _RESERVED.fullmatch(segment):
        raise Unsafe(f"{_shown(segment)} in an object key is a reserved device name; use another name")
    return segment


def input_key(owner: str, sha256: str, extension: str = "") -> str:
    """Key of a user's input file, named by its content. `extension` is empty or like `.png`, lower case."""
    if not _EXTENSION.fullmatch(extension):
        raise Unsafe(f"the extension {_shown(extension)} must be empty or a dot and 1 to 10 of a-z 0-9")
    return safe_key(f"inputs/{safe_segment(owner)}/{_checked_sha256(sha256)}{extension}")


def segment_key(owner: str, sha256: str) -> str:
    """Key of a finished segment's latents, named by the SHA-256 of everything that went into it.

    Not of their bytes: whoever would make the segment again knows where to look first.
    """
    return safe_key(f"segments/{safe_segment(owner)}/{_checked_sha256(sha256)}.safetensors")


def output_prefix(owner: str, task_id: str, attempt: int) -> str:
    """What every object of one attempt starts with, without a slash at its end."""
    if isinstance(attempt, bool) or not isinstance(attempt, int) or attempt < 1:
        raise Unsafe(f"the attempt {_shown(attempt)} in an object key must be a whole number from 1")
    return safe_key(f"outputs/{safe_segment(owner)}/{safe_segment(task_id)}/{attempt}")


def output_key(owner: str, task_id: str, attempt: int, name: str) -> str:
    """Key of one object that an attempt writes; `name` is a single part."""
    return safe_key(f"{output_prefix(owner, task_id, attempt)}/{safe_segment(name)}")


def _checked_sha256(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise Unsafe(f"{_shown(sha256)} is not a SHA-256 in 64 lower-case hexadecimal digits")
    return sha256


def _shown(value: object) -> str:
    shown = ascii(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."
