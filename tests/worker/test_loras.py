"""LoRA files of a plan: which file a name or a URL means, and whose fault it is when there is none."""

from __future__ import annotations

import errno
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from headless.errors import BadInput, BadParams, Cancelled, HeadlessError, ModelMissing, Unsafe
from headless.loras import LoraSource, locate_loras
from headless.media.guard import FetchPolicy
from headless.planning.loras import PlannedLora
from tests.media.web_server import Connection, Request, WebServer


def lora_bytes(value: int) -> bytes:
    """A safetensors file of one byte."""
    header = json.dumps({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes([value])


def _serve(connection: Connection, request: Request) -> None:
    match request.target.partition("?")[0]:
        case "/anna/weights.safetensors":
            connection.answer("200 OK", lora_bytes(1))
        case "/bert/weights.safetensors":
            connection.answer("200 OK", lora_bytes(2))
        case "/page.safetensors":
            connection.answer("200 OK", b"<!doctype html><title>log in</title>")
        case _:
            connection.answer("404 Not Found")


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer(_serve) as running:
        yield running


@pytest.fixture
def source(tmp_path: Path, server: WebServer) -> LoraSource:
    (tmp_path / "shipped").mkdir()
    return LoraSource(
        folders=(tmp_path / "loras", tmp_path / "shipped"),
        hosts=frozenset({"127.0.0.1"}),
        policy=FetchPolicy(allowed_hosts=(server.host,)),
        writable=True,
    )


def locate(source: LoraSource, *names: str, of_model: bool = False) -> list[bytes]:
    """The bytes of the files that names stand for."""
    planned = [PlannedLora(name, ((1.0,),), of_model) for name in names]
    return [use.path.read_bytes() for use in locate_loras(planned, source, lambda: None)]


def test_loras_of_one_name_from_two_places_are_two_files(source: LoraSource, server: WebServer) -> None:
    """On the web most LoRAs are called alike: the second task must not get the first one's."""
    anna, bert = server.url("/anna/weights.safetensors"), server.url("/bert/weights.safetensors")
    assert locate(source, anna) == [lora_bytes(1)]
    assert locate(source, bert) == [lora_bytes(2)]
    assert locate(source, anna, bert) == [lora_bytes(1), lora_bytes(2)]


def test_a_lora_is_fetched_once_whatever_its_token(source: LoraSource, server: WebServer) -> None:
    for token in ("?token=a", "?token=b", ""):
        locate(source, server.url(f"/anna/weights.safetensors{token}"))
    assert len(server.requests) == 1
    (file,) = source.folders[0].rglob("*.safetensors")
    assert "token" not in str(file)


@pytest.mark.parametrize("folder", [0, 1])
def test_what_the_operator_put_there_is_found_by_its_file_name(
    source: LoraSource, server: WebServer, folder: int
) -> None:
    source.folders[folder].mkdir(exist_ok=True)
    (source.folders[folder] / "weights.safetensors").write_bytes(lora_bytes(9))
    assert locate(source, server.url("/anna/weights.safetensors")) == [lora_bytes(9)]
    assert server.requests == []


def test_what_is_no_lora_is_not_kept(source: LoraSource, server: WebServer) -> None:
    with pytest.raises(BadInput, match="page"):
        locate(source, server.url("/page.safetensors"))
    assert list(source.folders[0].rglob("*.safetensors")) == []


def test_a_cancellation_ends_a_download(source: LoraSource, server: WebServer) -> None:
    def cancelled() -> None:
        raise Cancelled("stop")

    planned = [PlannedLora(server.url("/anna/weights.safetensors"), ((1.0,),), of_model=False)]
    with pytest.raises(Cancelled):
        locate_loras(planned, source, cancelled)


@pytest.mark.parametrize(
    ("name", "of_model", "error", "says"),
    [
        ("absent.safetensors", False, BadParams, "give a URL"),
        ("absent.safetensors", True, ModelMissing, "absent"),
        ("painting.safetensors", False, BadParams, "painting"),
        ("painting.safetensors", True, ModelMissing, "painting"),
        ("folder.safetensors", False, BadParams, "folder"),
        ("outside.safetensors", False, Unsafe, "link out of the LoRA folders"),
        ("outside.safetensors", True, Unsafe, "link out of the LoRA folders"),
        ("https://example.org/a.safetensors", False, Unsafe, "--lora-hosts"),
        ("https://example.org/a.safetensors", True, Unsafe, "--lora-hosts"),
        ("{server}/none.safetensors", False, BadInput, "does not exist"),
    ],
)
def test_a_lora_that_cannot_be_had_is_somebodys_fault(
    source: LoraSource,
    server: WebServer,
    tmp_path: Path,
    name: str,
    of_model: bool,
    error: type[HeadlessError],
    says: str,
) -> None:
    source.folders[0].mkdir()
    (source.folders[0] / "painting.safetensors").write_bytes(b"not a LoRA")
    (source.folders[0] / "folder.safetensors").mkdir()
    (tmp_path / "secret").write_bytes(lora_bytes(3))
    (source.folders[0] / "outside.safetensors").symlink_to(tmp_path / "secret")
    with pytest.raises(error, match=says):
        locate(source, name.replace("{server}", server.url("").rstrip("/")), of_model=of_model)


def test_without_a_folder_of_the_users_nothing_is_fetched(source: LoraSource, server: WebServer) -> None:
    shipped = LoraSource(source.folders[1:], source.hosts, source.policy)
    with pytest.raises(ModelMissing, match="--models-dir"):
        locate(shipped, server.url("/anna/weights.safetensors"))
    assert server.requests == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_folder_that_may_not_be_written_is_the_machines_fault(
    source: LoraSource, server: WebServer, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ModelMissing, match="writable for the worker"):
        locate(source, server.url("/anna/weights.safetensors"))
