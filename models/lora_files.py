"""From the name of a LoRA to its file: a harmless name, inside the LoRA folders, and really safetensors.

A name is a file name (or a path of folders and a file name) relative to a LoRA folder, or a URL, of which the
last part is the file name: that is how the files of URLs in model definitions are stored.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from models.safetensors_header import NotSafetensors, read_header

EXTENSION: Final = ".safetensors"
MAX_NAME: Final = 255
_PICKLES: Final = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
_FORBIDDEN: Final = frozenset('\\:*?"<>|%\ufffd')
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.ASCII | re.IGNORECASE)
_CONVERT: Final = (
    'python -c "import sys, torch, safetensors.torch as s; '
    's.save_file(torch.load(sys.argv[1], weights_only=True), sys.argv[2])" OLD NEW.safetensors'
)


class LoraMissing(LookupError):
    """No LoRA folder has the file. The message names the nearest ones."""


class UnsafeLora(ValueError):
    """The name, or the file that it leads to, reaches out of the LoRA folders."""


class BadLora(ValueError):
    """The file is not a safetensors file."""


def lora_file_name(name: str) -> str:
    """The path of the file relative to a LoRA folder, `/`-separated. Looks at nothing on the disk.

    Raises:
        UnsafeLora: the name is absolute, climbs, hides, or holds characters that systems read differently.
        BadLora: the name does not end in `.safetensors`.
    """
    path = _of_url(name) if "://" in name else name
    if not 0 < len(path) <= MAX_NAME:
        raise UnsafeLora(f"The LoRA name has {len(path)} characters; 1 to {MAX_NAME} are legal.")
    for part in path.split("/"):
        if reason := _unsafe_part(part):
            raise UnsafeLora(
                f"The LoRA name {_shown(name)} is refused: {reason}. "
                f"Give a file name such as style{EXTENSION}."
            )
    if path.lower().endswith(_PICKLES):
        raise BadLora(
            f"The LoRA {_shown(name)} is a pickle, which can run code. "
            f"Convert it where you trust it: {_CONVERT}"
        )
    if not path.endswith(EXTENSION):
        raise BadLora(f"The LoRA {_shown(name)} does not end in {EXTENSION}; only such files are loaded.")
    return path


def find_lora(name: str, folders: Sequence[Path]) -> Path:
    """The file of a LoRA, from the first of `folders` that has it, links resolved.

    Raises:
        UnsafeLora: see `lora_file_name`; or a link leads out of the folders.
        LoraMissing: no folder has it.
        BadLora: it is no regular file, or its header is not a safetensors header.
    """
    relative = lora_file_name(name)
    roots = [folder.resolve() for folder in folders]
    for folder in folders:
        path = folder / relative
        if path.is_symlink() or path.exists():
            return _checked(name, path, roots)
    raise LoraMissing(_missing(name, relative, folders))


def _checked(name: str, path: Path, roots: Sequence[Path]) -> Path:
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise BadLora(f"The LoRA {_shown(name)} is a link that leads nowhere.") from error
    if not any(real.is_relative_to(root) for root in roots):
        raise UnsafeLora(
            f"The LoRA {_shown(name)} is a link out of the LoRA folders. Put the file itself there."
        )
    try:
        read_header(real)
    except NotSafetensors as error:
        raise BadLora(f"The LoRA {_shown(name)} cannot be loaded: {error}") from error
    return real


def _of_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UnsafeLora(f"The LoRA {_shown(url)} is not a URL ({error}).") from error
    name = unquote(parts.path.rsplit("/", 1)[-1])
    if parts.scheme not in ("http", "https") or not parts.netloc or "/" in name:
        raise UnsafeLora(f"The LoRA {_shown(url)} is refused: give an http(s) URL that ends in a file name.")
    return name


def _unsafe_part(part: str) -> str | None:
    """Why one part of a path is refused, or `None`."""
    if part in ("", ".", ".."):
        return "it has an empty, '.' or '..' part"
    if part.startswith((".", "~", "-", " ")) or part.endswith((".", " ")):
        return "a part begins with '.', '~', '-' or a space, or ends in '.' or a space"
    if bad := sorted(_FORBIDDEN.intersection(part)):
        return f"it holds {' '.join(bad)}"
    if unicodedata.normalize("NFKC", part) != part or any(unicodedata.category(c)[0] == "C" for c in part):
        return "it holds characters that do not print or that have another standard form"
    if _RESERVED.fullmatch(part):
        return f"{part} is a device name on some systems"
    return None


def _missing(name: str, relative: str, folders: Sequence[Path]) -> str:
    known = sorted(
        {p.relative_to(f).as_posix() for f in folders if f.is_dir() for p in f.rglob(f"*{EXTENSION}")}
    )
    stems = {name.removesuffix(EXTENSION): name for name in known}
    near = [stems[s] for s in difflib.get_close_matches(relative.removesuffix(EXTENSION), stems, n=3)]
    if near:
        hint = f"Did you mean {' or '.join(near)}?"
    elif known:
        hint = f"There are {len(known)}, {', '.join(known[:5])}{', ...' if len(known) > 5 else ''}."
    else:
        hint = "There are none yet."
    return (
        f"The LoRA {_shown(name)} is not in this worker's LoRA folders; the file would be {relative}. {hint}"
    )


def _shown(name: str) -> str:
    text = ascii(re.sub(r"//[^/@]*@", "//", name.partition("?")[0]))
    return text if len(text) <= 120 else text[:117] + "...'"
