"""The settings that a video of this program has in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headless.errors import BadInput, UsageError
from headless.media.video import VideoLimits, read_metadata
from headless.params.bounds import check_bounds
from headless.params.problems import ProblemError
from headless.result import FORMAT, METADATA_KEY

_ANY_LENGTH = VideoLimits(max_bytes=2**62, max_seconds=1e9)
_OTHERS = (
    "Only the finished videos of this program keep their settings, and other programs drop them when they "
    "write a video anew."
)


def read_settings(path: Path) -> dict[str, Any]:
    """What `headless.result.metadata` put into a video: untrusted, but an object of this program's format.

    Raises `UsageError` where there is no such file, `BadInput` for one that is no whole video or has none.
    """
    name = path.name or str(path)
    try:
        text = read_metadata(path, limits=_ANY_LENGTH, field=name).get(METADATA_KEY)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error}).") from error
    if text is None:
        raise BadInput(f"{name} has no settings in it. {_OTHERS}")
    try:
        told = json.loads(text)
        check_bounds(told)
    except (ValueError, RecursionError, ProblemError) as error:
        raise BadInput(f"{name}: its settings are damaged ({error}).") from error
    if not isinstance(told, dict) or not isinstance(told.get("parameters"), dict):
        raise BadInput(f"{name}: its settings were not written by this program.")
    if told.get("format") != FORMAT:
        raise BadInput(
            f"{name}: its settings are of format {told.get('format')!r:.40}; this version reads {FORMAT}. "
            "Use the version that made it."
        )
    return told
