"""Logging: readable on a terminal, JSON elsewhere; secrets never pass; every line of a job names it.

Lines of the standard library's loggers (`svi` among them, which carries `[SVI_DEBUG]` and `[SVI2PRO]`) take
the same road, so they carry the task and the attempt too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

_TOKEN_SHAPES = re.compile(
    r"sb_(?:secret|publishable)_[\w-]{8,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|(?<=[?&]token=)[^&\s'\"]+"
)
_QUIET = ("httpx", "httpcore", "h2", "hpack", "PIL", "urllib3", "filelock", "diffusers", "transformers")


def without_tokens(text: str) -> str:
    """`text` with `***` for whatever looks like a key or a signed token."""
    return _TOKEN_SHAPES.sub("***", text)


class Redactor:
    """Replaces the given secrets, and whatever looks like a key or a signed token, by `***`."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(sorted({s for s in secrets if len(s) >= 4}, key=len, reverse=True))

    def text(self, value: str) -> str:
        """`value` without secrets."""
        for secret in self._secrets:
            value = value.replace(secret, "***")
        return without_tokens(value)

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self._clean(k): self._clean(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(v) for v in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.text(str(value))

    def __call__(self, logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:  # noqa: ARG002 - structlog's signature
        """A structlog processor, last before the renderer."""
        kept = {k: event[k] for k in ("_record", "_from_structlog") if k in event}
        return {k: self._clean(v) for k, v in event.items() if k not in kept} | kept


def _ranked(rank: int | None) -> Processor:
    def add_rank(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if rank is not None:
            event["rank"] = rank
        return event

    return add_rank


def configure(
    *, debug: bool, log_format: str, stream: TextIO, secrets: Iterable[str] = (), rank: int | None = None
) -> None:
    """Set up logging for this process. `log_format`: auto (by the stream), text or json.

    Every line carries `rank`, if it is given.
    """
    text = log_format == "text" or (log_format == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _ranked(rank),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if text else "iso", utc=not text),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        Redactor(secrets),
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty())
        if text
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if debug else logging.INFO)
    logging.getLogger("svi").setLevel(logging.NOTSET)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if debug else logging.INFO),
        cache_logger_on_first_use=False,
    )
