"""A model definition changed for the duration of one task, and put back exactly.

`svi2pro` is a property of the model definition, not of a request. A task that asks for it changes the
definition while it runs:

    with patched_model_def(models_def, model, {"svi2pro": True}, loaded=engine):
        ...

Both objects that may hold the definition are changed: `models_def[model]` and the loaded object's own
`model_def`, which may or may not be the same dict. On the way out, whatever the way is, every key has the
value that it had before, and a key that did not exist is gone again.
"""

from __future__ import annotations

import difflib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

Definition = MutableMapping[str, Any]
_ABSENT: Final = object()


class UnknownModel(KeyError):
    """There is no definition of that name to change. The message names the nearest ones."""

    def __str__(self) -> str:
        return str(self.args[0])


class DefinitionInUse(RuntimeError):
    """Another thread's block holds the key at another value. The message names both values."""


@dataclass(eq=False)
class _Change:
    """One key of one dict: what it held, and what it holds meanwhile."""

    owner: str
    definition: Definition
    key: str
    before: Any
    meanwhile: Any
    thread: int = field(default_factory=threading.get_ident)

    @property
    def name(self) -> str:
        return f"{self.owner}[{self.key!r}]"

    def apply(self) -> None:
        self.definition[self.key] = self.meanwhile

    def concerns(self, other: _Change) -> bool:
        """Whether both change the same key of the same dict."""
        return self.definition is other.definition and self.key == other.key

    def restore(self) -> Any:
        """Put the old value back and return the one that was found."""
        found = self.definition.get(self.key, _ABSENT)
        if self.before is _ABSENT:
            self.definition.pop(self.key, None)
        else:
            self.definition[self.key] = self.before
        return found


class _InForce:
    """The changes that are in force, oldest first. Whoever reads or changes them holds `lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._changes: list[_Change] = []

    def add(self, change: _Change) -> None:
        """Raises `DefinitionInUse` where another thread needs another value for the same key now."""
        for other in self._changes:
            rival = other.concerns(change) and other.thread != change.thread
            if rival and not _same(other.meanwhile, change.meanwhile):
                raise DefinitionInUse(
                    f"{change.name} is {other.meanwhile!r} for another job that runs now and cannot become "
                    f"{change.meanwhile!r}; run such jobs one after another"
                )
        self._changes.append(change)

    def has(self, change: _Change) -> bool:
        """Whether it was added and not removed."""
        return change in self._changes

    def remove(self, change: _Change) -> _Change | None:
        """Take it out. A younger change of the same key, if any, inherits the value to go back to."""
        index = self._changes.index(change)
        del self._changes[index]
        younger = next((other for other in self._changes[index:] if other.concerns(change)), None)
        if younger is not None:
            younger.before = change.before
        return younger


# Definitions belong to the process, so the record of who holds them changed does too: the only thing at the
# level of a module that changes.
_IN_FORCE: Final = _InForce()


@contextmanager
def patched_model_def(
    models_def: Mapping[str, Definition],
    model: str,
    changes: Mapping[str, Any],
    loaded: object = None,
    log: logging.Logger | None = None,
) -> Iterator[None]:
    """Change the definition of `model` inside the block, and restore it exactly after it.

    `loaded` is the engine or pipeline in memory: any object; its `model_def` is changed too if that is a
    dict. If it takes over a copy of the changed definition inside the block, the copy is put right as well.
    Nested blocks unwind last-in first-out. Blocks in several threads may overlap and end in any order while
    they set the same values: the old value comes back with the last of them. A value that somebody else set
    inside the block is replaced by the old one all the same, with a warning that names both. If changing
    fails half-way, what was changed is restored and the error goes on: nothing runs without what was asked
    for.

    Every change is logged at INFO, by default on the logger `svi`.

    Raises:
        UnknownModel: `models_def` has no `model`; nothing has been changed.
        DefinitionInUse: a block in another thread holds one of the keys at another value.
    """
    if model not in models_def:
        raise UnknownModel(_unknown(models_def, model))
    svi_log = log or _visible_logger()
    patch = _Patch(models_def, model, dict(changes), loaded, svi_log)
    try:
        patch.apply()
        yield
    finally:
        patch.restore()


class _Patch:
    """The changes of one block, and their way back."""

    def __init__(
        self,
        models_def: Mapping[str, Definition],
        model: str,
        changes: dict[str, Any],
        loaded: object,
        log: logging.Logger,
    ) -> None:
        self._models_def = models_def
        self._model = model
        self._changes = changes
        self._loaded = loaded
        self._log = log
        self._done: list[_Change] = []
        self._unfinished: _Change | None = None

    def apply(self) -> None:
        for owner, definition in self._places():
            for key, value in self._changes.items():
                with _IN_FORCE.lock:
                    change = _Change(owner, definition, key, definition.get(key, _ABSENT), value)
                    # Recorded first: an interrupt while the value is set must still be undone.
                    self._done.append(change)
                    self._unfinished = change
                    _IN_FORCE.add(change)
                    change.apply()
                    self._unfinished = None
                self._log.info(
                    "[SVI2PRO] Patched %s = %r (was: %r)", change.name, value, _shown(change.before)
                )

    def restore(self) -> None:
        """Undo everything, last first. An error on the way does not keep the rest from being undone."""
        errors: list[BaseException] = []
        for change in reversed(self._done):
            _collect(errors, partial(self._restore_one, change))
        _collect(errors, self._restore_copies)
        if errors:
            raise errors[0]

    def _restore_one(self, change: _Change) -> None:
        with _IN_FORCE.lock:
            if not _IN_FORCE.has(change):  # refused or interrupted before anything was set
                return
            if _IN_FORCE.remove(change) is not None:
                self._log.info("[SVI2PRO] Kept %s = %r for another job", change.name, change.meanwhile)
                return
            self._put_back(change)

    def _put_back(self, change: _Change) -> None:
        found = change.restore()
        if change is not self._unfinished and not _same(found, change.meanwhile):
            self._log.warning(
                "[SVI2PRO] %s was patched to %r, then changed to %r by somebody else; restored to %r",
                change.name,
                change.meanwhile,
                _shown(found),
                _shown(change.before),
            )
        self._log.info("[SVI2PRO] Restored %s to %r", change.name, _shown(change.before))

    def _restore_copies(self) -> None:
        """Put right a definition that took our place inside the block and still carries what was changed.

        A model that is loaded inside the block may copy its changed definition; left alone, the copy would
        keep every later task on it. The value to go back to is the one of `models_def[model]`.
        """
        known = {id(change.definition) for change in self._done}
        before = {c.key: c for c in reversed(self._done)}
        for owner, definition in self._places():
            for key in () if id(definition) in known else before:
                if key in definition and _same(definition[key], before[key].meanwhile):
                    self._put_back(replace(before[key], owner=owner, definition=definition))

    def _places(self) -> list[tuple[str, Definition]]:
        """The dicts that hold the definition now, each once. A loaded object that says it holds another model
        (`loaded_model`, a text) is left alone."""
        places = {}
        if self._model in self._models_def:
            places[f"wgp.models_def[{self._model!r}]"] = self._models_def[self._model]
        own = getattr(self._loaded, "model_def", None)
        holds = getattr(self._loaded, "loaded_model", None)
        ours = not isinstance(holds, str) or holds == self._model
        if ours and isinstance(own, MutableMapping) and all(own is not place for place in places.values()):
            places["loaded.model_def"] = own
        return list(places.items())


def _collect(errors: list[BaseException], undo: Callable[[], None]) -> None:
    try:
        undo()
    except BaseException as error:
        errors.append(error)


def _visible_logger() -> logging.Logger:
    """The logger `svi`, at INFO unless somebody gave it a level: operators look for these lines."""
    logger = logging.getLogger("svi")
    if logger.level == logging.NOTSET and not logger.isEnabledFor(logging.INFO):
        logger.setLevel(logging.INFO)
    return logger


def _shown(value: Any) -> Any:
    return None if value is _ABSENT else value


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    try:
        return type(a) is type(b) and bool(a == b)
    except (TypeError, ValueError, RuntimeError):  # arrays and tensors do not compare to one truth value
        return False


def _unknown(models_def: Mapping[str, Definition], model: str) -> str:
    near = difflib.get_close_matches(model, list(models_def), n=3) or sorted(models_def)
    return f"There is no model definition {model!r} to change. Known: {', '.join(near) or 'none'}."
