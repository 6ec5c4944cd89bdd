"""Writes definition files and safetensors files for the tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def define(folder: Path, id_: str, model: dict[str, Any] | None = None, **settings: Any) -> Path:
    """Write `<id>.json` with the required keys and the given ones."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{id_}.json"
    section = {"name": id_.upper(), "architecture": "i2v_2_2", **(model or {})}
    path.write_text(json.dumps({"model": section, **settings}), encoding="utf-8")
    return path


def safetensors(path: Path, header: Any, body: bytes = b"") -> Path:
    """Write a safetensors file with this header, as JSON or as raw bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(data).to_bytes(8, "little") + data + body)
    return path


def entry(begin: int = 0, end: int = 8, shape: tuple[int, ...] = (2,), dtype: str = "F32") -> dict[str, Any]:
    """One tensor of a header."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
