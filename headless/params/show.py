"""A value as an error message may quote it: short, printable, without the secrets of a URL."""

from __future__ import annotations

from headless.media.guard import redact_url

_LONGEST = 60


def show(value: object) -> str:
    """`value` in JSON's spelling, cut where it is long. Never raises, whatever it is given."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if value.bit_length() <= 128 else "a number of more than 38 digits"
        case float():
            return repr(value)
        case str():
            return _text(value)
        case dict():
            return f"an object with {len(value)} fields"
        case list() | tuple():
            return f"a list of {len(value)}"
        case _:
            return f"a {type(value).__name__}"


def _text(value: str) -> str:
    visible = redact_url(value) if "://" in value[:40] else value
    cut = "" if len(visible) <= _LONGEST else "..."
    letters = (_letter(letter) for letter in visible[:_LONGEST])
    return f'"{"".join(letters)}{cut}"'


def _letter(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
