"""A hub on 127.0.0.1: the calls that the Hugging Face client makes, over repositories in memory."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = 100
"""Files from this size on are kept as the hub keeps large ones, and so known by their SHA-256."""
Tree = dict[str, bytes]


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Asked:
    """A request: method, path, the value of its Range header, and the token that it carried."""

    method: str
    path: str
    range: str | None
    token: str | None


@dataclass
class HubServer:
    """`commits["OWNER/NAME"][commit]` is a tree; `branches` name commits.

    `stall_after[path]` sends so many bytes of a file, sets `stalled` and says nothing more until the server
    ends. `lies[path]` are sent in place of a file's bytes. `gated` repositories want a token.
    """

    commits: dict[str, dict[str, Tree]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    stall_after: dict[str, int] = field(default_factory=dict)
    lies: dict[str, bytes] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    ranges: bool = True
    asked: list[Asked] = field(default_factory=list)
    stalled: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> HubServer:
        self.ended = threading.Event()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def publish(self, repository: str, tree: Tree, branch: str = "main") -> str:
        """Add a commit with these files and let a branch name it."""
        trees = self.commits.setdefault(repository, {})
        commit = hashlib.sha1(f"{repository} {len(trees)}".encode(), usedforsecurity=False).hexdigest()
        trees[commit] = tree
        self.branches[f"{repository}@{branch}"] = commit
        return commit

    def commit(self, repository: str, revision: str) -> str | None:
        trees = self.commits[repository]
        return revision if revision in trees else self.branches.get(f"{repository}@{revision}")

    def bodies(self, method: str = "GET") -> list[Asked]:
        """Requests for the bytes of files."""
        return [asked for asked in self.asked if asked.method == method and "/resolve/" in asked.path]


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        """Quietly."""

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        path = urlsplit(self.path).path
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        self.hub.asked.append(Asked(self.command, unquote(path), self.headers.get("Range"), token))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        found = re.fullmatch(
            r"/api/models/([^/]+/[^/]+)/(revision|paths-info|tree)/([^/]+)(?:/(.+))?", path
        ) or re.fullmatch(r"/([^/]+/[^/]+)/(resolve)/([^/]+)/(.+)", path)
        if found is None:
            return self._json({"error": "no such call"}, 404)
        repository, call, revision, rest = found.groups()
        if repository not in self.hub.commits:
            return self._json({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        if repository in self.hub.gated and token is None:
            return self._json({"error": "gated"}, 401, X_Error_Code="GatedRepo")
        commit = self.hub.commit(repository, unquote(revision))
        if commit is None:
            return self._json({"error": "Invalid rev id"}, 404, X_Error_Code="RevisionNotFound")
        tree = self.hub.commits[repository][commit]
        match call:
            case "revision":
                return self._json({"id": repository, "sha": commit, "siblings": []})
            case "paths-info":
                return self._json(_paths_info(tree, parse_qs(body)["paths"]))
            case "tree":
                folder = unquote(rest) + "/"
                return self._json([_entry(name, tree[name]) for name in tree if name.startswith(folder)])
            case _:
                return self._file(commit, unquote(rest), tree)

    def _json(self, value: object, status: int = 200, **headers: str) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _file(self, commit: str, path: str, tree: Tree) -> None:
        if path not in tree:
            return self._json({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
        data, start = self.hub.lies.get(path, tree[path]), 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if asked and self.hub.ranges:
            start = int(asked[1])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", f'"{git_hash(data)}"')
        self.send_header("X-Repo-Commit", commit)
        self.end_headers()
        if self.command == "HEAD":
            return None
        stop = self.hub.stall_after.get(path)
        self.wfile.write(data[start : stop if stop is not None else len(data)])
        if stop is not None:
            self.wfile.flush()
            self.hub.stalled.set()
            self.hub.ended.wait(60)
            self.close_connection = True
        return None


def _paths_info(tree: Tree, paths: list[str]) -> list[dict[str, object]]:
    found = []
    for path in paths:
        if path in tree:
            found.append(_entry(path, tree[path]))
        elif any(name.startswith(f"{path}/") for name in tree):
            found.append({"type": "directory", "path": path, "oid": git_hash(path.encode()), "size": 0})
    return found


def _entry(path: str, data: bytes) -> dict[str, object]:
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(data), "oid": git_hash(data)}
    if len(data) >= LARGE:
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry
