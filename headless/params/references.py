"""References to media: an http(s) URL, or an object in storage. Only their shape is looked at here."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from headless.errors import BadInput, Unsafe
from headless.keys import safe_key
from headless.media.guard import parse_url
from headless.params.show import show

STORAGE: Final = "storage://"
FORMS: Final = "an http(s) URL, storage://inputs/OWNER/NAME or storage://outputs/OWNER/TASK/ATTEMPT/NAME"
TASK_FORMS: Final = f"the id of a finished task, or its video as {FORMS}"
UNSAFE: Final = "unsafe_reference"
PREDICATE: Final = "predicate"
"""Error types of validators whose message goes on where the field's name ends."""
_TASK_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def is_task_id(reference: str) -> bool:
    """Whether a reference is a task's id and not an address."""
    return _TASK_ID.fullmatch(reference) is not None


def check_media(reference: str, info: ValidationInfo) -> str:
    """The reference itself, when it has a legal shape."""
    return _checked(reference, info.field_name or "reference", FORMS)


def check_media_or_task(reference: str, info: ValidationInfo) -> str:
    """As `check_media`, or a task's id, in lower case."""
    if is_task_id(reference):
        return reference.lower()
    return _checked(reference, info.field_name or "reference", TASK_FORMS)


def _checked(reference: str, field: str, forms: str) -> str:
    try:
        if reference.startswith(STORAGE):
            _check_key(reference.removeprefix(STORAGE))
        elif _SCHEME.match(reference):
            parse_url(reference, field)
        else:
            _refuse_path(reference, forms)
    except Unsafe as error:
        raise PydanticCustomError(UNSAFE, "{why}", {"why": _predicate(field, reference, error)}) from error
    except BadInput as error:
        raise PydanticCustomError(PREDICATE, "{why}", {"why": _predicate(field, reference, error)}) from error
    return reference


def _check_key(key: str) -> None:
    safe_key(key)
    if not key.startswith(("inputs/", "outputs/")) or key.count("/") < 2:
        raise Unsafe(f"give {FORMS}")


def _refuse_path(reference: str, forms: str) -> None:
    if reference.startswith(("/", "\\", "~")) or ".." in reference:
        raise Unsafe(f"a task cannot name files of the worker's machine; give {forms}")
    raise BadInput(f"give {forms}; `python -m headless submit` stores local files and refers to them")


def _predicate(field: str, reference: str, error: Exception) -> str:
    why = str(error).removeprefix(f"{field}: ")
    return f"is {show(reference)}: {why}."


MediaReference = Annotated[str, Field(max_length=8192), AfterValidator(check_media)]
MediaOrTask = Annotated[str, Field(max_length=8192), AfterValidator(check_media_or_task)]
