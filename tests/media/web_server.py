"""A real server on 127.0.0.1 whose answers are written byte by byte, so that it can misbehave."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType


@dataclass(frozen=True)
class Request:
    """The head of a request as it arrived, and how many requests came before it."""

    target: str
    headers: dict[str, str]
    number: int


@dataclass
class Connection:
    """One accepted connection."""

    socket: socket.socket
    stopped: threading.Event

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def stay_silent(self) -> None:
        """Say nothing until the server is stopped."""
        self.stopped.wait(10)

    def answer(self, status: str, body: bytes = b"", **headers: str) -> None:
        """A well-formed answer. Underscores in header names stand for dashes."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def reset(self) -> None:
        """Close with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Script = Callable[[Connection, Request], None]


@dataclass
class WebServer:
    """Serves `script` for each connection until the `with` block ends. `requests` lists what was asked."""

    script: Script
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    def __enter__(self) -> WebServer:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in (self._accepting, *self._threads):
            thread.join(10)

    @property
    def host(self) -> str:
        """What has to be allowed for this server to be reached."""
        return f"127.0.0.1:{self.port}"

    def url(self, target: str = "/picture.png") -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}{target}"

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(10)
        try:
            if self.tls is not None:
                client = self.tls.wrap_socket(client, server_side=True)
            request = self._read(client)
            if request is not None:
                self.requests.append(request)
                self.script(Connection(client, self._stopped), request)
        except OSError:
            return
        finally:
            client.close()

    def _read(self, client: socket.socket) -> Request | None:
        head = b""
        while b"\r\n\r\n" not in head:
            chunk = client.recv(65536)
            if not chunk:
                return None
            head += chunk
        first, *lines = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Request(first.split(" ")[1], headers, len(self.requests))
