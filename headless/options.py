"""Options of the command line. Each is also an environment variable, and says so in the help."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from pydantic import SecretStr

from headless.errors import UsageError
from headless.logs import without_tokens


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """The layout of every help page."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=108)


class Parser(argparse.ArgumentParser):
    """Says what is wrong with arguments without repeating a token that was given to a mistyped option."""

    def error(self, message: str) -> NoReturn:
        """Leave with 2."""
        super().error(without_tokens(message))


def make_parser(prog: str, description: str, epilog: str = "") -> argparse.ArgumentParser:
    """A parser in the product's layout; long options are never abbreviated."""
    return Parser(
        prog=prog,
        description=description,
        epilog=epilog,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )


class EnvironmentOptions:
    """Adds options whose default comes from an environment variable, and says so in the help."""

    def __init__(self, group: argparse._ActionsContainer, environ: Mapping[str, str]) -> None:
        self._group = group
        self._environ = environ

    def value(self, flag: str, variable: str, help_text: str, *, metavar: str, default: str = "") -> None:
        """An option with a value."""
        shown = f"{help_text} [{variable}{'; default ' + default if default else ''}]"
        self._group.add_argument(
            flag, metavar=metavar, default=self._environ.get(variable, default), help=shown.replace("%", "%%")
        )

    def switch(self, flag: str, variable: str, help_text: str) -> None:
        """An option that is on or off."""
        on = self._environ.get(variable, "").strip().lower()
        if on not in ("", "0", "1", "true", "false", "yes", "no", "on", "off"):
            raise UsageError(f"{variable}={on!r} is neither on nor off. Set it to 1 or 0.")
        self._group.add_argument(
            flag,
            action=argparse.BooleanOptionalAction,
            default=on in ("1", "true", "yes", "on"),
            help=f"{help_text} [{variable}]",
        )

    def secret(self, flag: str, variable: str, help_text: str, *, metavar: str) -> None:
        """A secret, given as a value or as a file that holds it. Never shown, not even as a default."""
        self._group.add_argument(
            flag, metavar=metavar, default=None, help=f"{help_text} [{variable}, or {variable}_FILE]"
        )
        self._group.add_argument(
            f"{flag}-file", metavar="PATH", default=None, help=f"file that holds it ({flag})"
        )


def read_secret(
    arguments: argparse.Namespace, environ: Mapping[str, str], flag: str, variable: str
) -> SecretStr | None:
    """The secret of `flag`: argument, then its file, then the variable, then the variable's file."""
    name = flag.lstrip("-").replace("-", "_")
    value = getattr(arguments, name)
    if value is None and (path := getattr(arguments, f"{name}_file")) is not None:
        value = _secret_file(path)
    if value is None:
        value = environ.get(variable)
    if not value and (path := environ.get(f"{variable}_FILE")):
        value = _secret_file(path)
    return SecretStr(value.strip()) if value and value.strip() else None


def _secret_file(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"The secret file {path} cannot be read ({error}). Give a readable text file."
        ) from error
    if not text.strip():
        raise UsageError(f"The secret file {path} is empty. Put the token into it, on one line.")
    return text


def add_connection_options(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    """`--local` or `--supabase-url` and what goes with it."""
    options = EnvironmentOptions(
        parser.add_argument_group("queue and storage (one of --local, --supabase-url)"), environ
    )
    options.value(
        "--local",
        "HEADLESS_LOCAL",
        "folder with a queue and storage of its own, made on first use",
        metavar="DIR",
    )
    options.value("--supabase-url", "SUPABASE_URL", "address of a Supabase project", metavar="URL")
    options.secret(
        "--supabase-access-token",
        "SUPABASE_ACCESS_TOKEN",
        "a user's access token or a gpu_worker token",
        metavar="TOKEN",
    )
    options.secret(
        "--supabase-secret-key", "SUPABASE_SECRET_KEY", "secret key of a trusted fleet", metavar="KEY"
    )
    options.secret(
        "--supabase-anon-key",
        "SUPABASE_ANON_KEY",
        "the project's publishable key, sent beside an access token",
        metavar="KEY",
    )
    options.value("--supabase-bucket", "SUPABASE_BUCKET", "storage bucket", metavar="NAME", default="videos")
