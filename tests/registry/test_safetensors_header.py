"""A header is believed only when it describes exactly its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from models.safetensors_header import MAX_TENSORS, NotSafetensors, TensorEntry, read_header
from tests.registry.files import entry, safetensors


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(
        {"a": np.zeros((2, 3), np.float32), "b": np.zeros((), np.int64), "c": np.zeros((0, 4), np.uint8)},
        path,
        metadata={"format": "pt"},
    )
    header = read_header(path)
    assert {name: (t.dtype, t.shape) for name, t in header.tensors.items()} == {
        "a": ("F32", (2, 3)),
        "b": ("I64", ()),
        "c": ("U8", (0, 4)),
    }
    assert header.metadata == {"format": "pt"}


def test_offsets_are_kept(tmp_path: Path) -> None:
    path = safetensors(tmp_path / "a", {"b": entry(8, 16), "a": entry(0, 8)}, bytes(16))
    assert read_header(path).tensors["b"] == TensorEntry("F32", (2,), 8, 16)


def test_half_bytes(tmp_path: Path) -> None:
    path = safetensors(
        tmp_path / "a", {"a": entry(0, 4, (8,), "F4"), "b": entry(4, 7, (4,), "F6_E2M3")}, bytes(7)
    )
    assert len(read_header(path).tensors) == 2


def changed(**fields: Any) -> dict[str, Any]:
    return {"a": {**entry(), **fields}}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"{,", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        ([], "not an object"),
        (b'{"a": 1, "a": 1}', "twice"),
        ({"__metadata__": {"a": 1}}, "__metadata__"),
        ({"__metadata__": []}, "__metadata__"),
        ({"a": 1}, "not dtype, shape and data_offsets"),
        ({"a": {**entry(), "more": 1}}, "not dtype, shape and data_offsets"),
        (changed(dtype="F128"), "unknown dtype 'F128'"),
        (changed(dtype=["F32"]), "unknown dtype"),
        (changed(shape=[-2]), "not up to 8 whole numbers"),
        (changed(shape=[2.0]), "not up to 8 whole numbers"),
        (changed(shape=[True, 2]), "not up to 8 whole numbers"),
        (changed(shape=[1] * 10_000), "not up to 8 whole numbers"),
        (changed(shape=[2**63]), "not up to 8 whole numbers"),
        (changed(shape="2"), "not up to 8 whole numbers"),
        (changed(shape=[3]), "not its shape times its dtype"),
        (changed(data_offsets=[8, 0]), "not its shape times its dtype"),
        (changed(data_offsets=[0, 8, 8]), "not two whole numbers"),
        (changed(data_offsets=[0, 2**64]), "not two whole numbers"),
        ({"a": entry(), "b": entry(4, 12)}, "overlap others or leave a gap"),
        ({"a": entry(), "b": entry(12, 20)}, "overlap others or leave a gap"),
        ({}, "its tensors have 0 bytes and the file holds 8"),
    ],
)
def test_wrong_headers(tmp_path: Path, header: Any, message: str) -> None:
    path = safetensors(tmp_path / "a", header, bytes(8))
    with pytest.raises(NotSafetensors) as caught:
        read_header(path)
    assert message in str(caught.value)


@pytest.mark.parametrize("length", [0, 1, 2**63, 2**64 - 1, 1000])
def test_wrong_header_lengths(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(length.to_bytes(8, "little") + b"{}" + bytes(20))
    with pytest.raises(NotSafetensors, match="no header length"):
        read_header(path)


def test_a_huge_header_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.write((100_000_000).to_bytes(8, "little"))
        file.truncate(100_000_008)
    with pytest.raises(NotSafetensors, match="more than 25000000"):
        read_header(path)


def test_too_many_tensors(tmp_path: Path) -> None:
    header = b"{" + b",".join(b'"%d":0' % n for n in range(MAX_TENSORS + 1)) + b"}"
    with pytest.raises(NotSafetensors, match="more than 200000"):
        read_header(safetensors(tmp_path / "a", header))


def test_a_truncated_file(tmp_path: Path) -> None:
    path = safetensors(tmp_path / "a", {"a": entry()}, bytes(7))
    with pytest.raises(NotSafetensors, match="8 bytes and the file holds 7"):
        read_header(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotSafetensors, match="cannot be opened"):
        read_header(tmp_path / "none")
