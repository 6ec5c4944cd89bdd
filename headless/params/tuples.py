"""Lists of JSON as tuples, their length checked before anybody looks at the items."""

from __future__ import annotations

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError


def tuple_of_at_most(limit: int, least: int = 0) -> BeforeValidator:
    """A validator for a field of a tuple type. `least`: here, since pydantic counts only the items that are
    right, and would complain of the number where one is wrong."""

    def convert(value: object) -> object:
        if not isinstance(value, list):
            return value
        if len(value) > limit:
            raise PydanticCustomError("too_long", "give at most {limit}", {"limit": limit})
        if len(value) < least:
            raise PydanticCustomError("too_short", "give at least {least}", {"least": least})
        return tuple(value)

    return BeforeValidator(convert)
