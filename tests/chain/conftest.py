"""Fixtures of the tests of chains."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.worker.place import place

__all__ = ["place"]


@pytest.fixture(scope="module")
def without_sheets() -> Iterator[None]:
    """Most of a short chain's time would go into its contact sheet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headless.chain_record.write_chain_sheet", lambda _, path, **__: path.touch())
        yield
