"""The Hugging Face hub: what a repository holds at a commit, and its files, fetched so that a kill costs
little.

`hf_hub_download` deletes what it has of a file that it could not finish. Here the library's own transfer
writes into a file that stays, and goes on where that ends.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import httpx2
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, disable_progress_bars

from headless.errors import InputUnavailable, ModelMissing
from headless.fingerprint import sha256_of
from headless.media.whole_file import no_room_is_disk_full
from headless.model_store.parts import Source
from headless.model_store.record import git_hash_of

READABLE: Final = frozenset({".safetensors", ".json", ".txt", ".model", ".gguf"})
"""Kinds of files that are fetched: nothing that runs code when it is read."""


@dataclass(frozen=True)
class Remote:
    """A file on the hub. Large files are known by their SHA-256, small ones by git's hash."""

    repository: str
    commit: str
    path: str
    size: int
    sha256: str | None
    git_hash: str

    def matches(self, file: Path) -> bool:
        """Whether a file here has these bytes."""
        if file.stat().st_size != self.size:
            return False
        if self.sha256 is not None:
            return sha256_of(file) == self.sha256
        return git_hash_of(file) == self.git_hash


class Hub:
    """One hub, as one user or nobody."""

    def __init__(self, endpoint: str, token: str | None, note: Callable[[str], None]) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._token: str | bool = token or False
        self._api = HfApi(endpoint=self._endpoint, token=self._token)
        self._note = note
        if not sys.stderr.isatty():
            disable_progress_bars()

    def commit(self, source: Source) -> str:
        """The commit that the source's revision is now."""
        if source.pinned:
            return source.revision
        with self._asked(source):
            commit = self._api.model_info(source.repository, revision=source.revision).sha
        return str(commit)

    def files(self, source: Source, commit: str) -> list[Remote]:
        """The files that a source stands for: itself, or those below it that can be used.

        Raises `ModelMissing` where there are none.
        """
        with self._asked(source):
            found = self._api.get_paths_info(source.repository, [source.path], revision=commit)
            listed = [entry for entry in found if isinstance(entry, RepoFile)]
            if found and not listed:
                tree = self._api.list_repo_tree(
                    source.repository, source.path, recursive=True, revision=commit
                )
                listed = [entry for entry in tree if isinstance(entry, RepoFile)]
        remotes = [
            Remote(
                repository=source.repository,
                commit=commit,
                path=entry.path,
                size=entry.size,
                sha256=entry.lfs.sha256 if entry.lfs else None,
                git_hash=entry.blob_id,
            )
            for entry in listed
            if PurePosixPath(entry.path).suffix in READABLE
        ]
        if not remotes:
            raise ModelMissing(f"{source} is not there, or holds nothing that can be used.")
        for remote in remotes:
            if not PurePosixPath(remote.path).is_relative_to(source.path) or ".." in remote.path.split("/"):
                raise ModelMissing(f"{source}: the hub names the file {remote.path!r}, which lies elsewhere.")
        return remotes

    def fetch(self, remote: Remote, part: Path) -> None:
        """Bring the rest of a file into `part`, which may hold its beginning, and check all of it.

        Raises `InputUnavailable` where the hub does not answer or the bytes are wrong, `DiskFull`.
        """
        part.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        have = part.stat().st_size
        if have > remote.size:
            have = 0
        self._note(_progress(remote, have))
        url = hf_hub_url(remote.repository, remote.path, revision=remote.commit, endpoint=self._endpoint)
        # Unbuffered: what has arrived is in the file when the process is killed.
        with no_room_is_disk_full(part), part.open("r+b", buffering=0) as file:
            file.truncate(have)
            file.seek(have)
            if have < remote.size:
                with self._asked(Source(remote.repository, remote.commit, remote.path)):
                    http_get(
                        url,
                        file,
                        resume_size=have,
                        headers=build_hf_headers(token=self._token),
                        expected_size=remote.size,
                        displayed_filename=remote.path,
                    )
        if not remote.matches(part):
            part.unlink()
            raise InputUnavailable(
                f"{remote.path} of {remote.repository} arrived with wrong bytes and was thrown away. "
                "Pull again."
            )

    @contextmanager
    def _asked(self, source: Source) -> Iterator[None]:
        try:
            yield
        except GatedRepoError as error:
            raise ModelMissing(
                f"{source.repository} is only for people who accepted its terms. Accept them on its page and "
                "give a token of that account with --hf-token-file."
            ) from error
        except RepositoryNotFoundError as error:
            raise ModelMissing(
                f"{source.repository} is not on {self._endpoint}, or is private; a token goes into "
                "--hf-token-file."
            ) from error
        except RevisionNotFoundError as error:
            raise ModelMissing(f"{source.repository} has no revision {source.revision}.") from error
        except HFValidationError as error:
            raise ModelMissing(f"{source.repository} is no name of a repository ({error}).") from error
        except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise InputUnavailable(
                f"{self._endpoint} did not give {source}: {str(error).splitlines()[0]}. Pull again: what has "
                "arrived is kept."
            ) from error


def _progress(remote: Remote, have: int) -> str:
    kept = f", {have / 1e9:.2f} GB of it here already" if have else ""
    return f"fetching {remote.repository} {remote.path} ({remote.size / 1e9:.2f} GB{kept})"
