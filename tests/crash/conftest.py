"""Fixtures of the tests in which workers are killed, stopped and cut off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headless.segment import Clip
from tests.crash.sites import LocalSite, Site, SupabaseSite
from tests.supabase.stack import shared_stack


@pytest.fixture
def local_site(tmp_path: Path) -> Iterator[LocalSite]:
    """A queue in a folder."""
    site = LocalSite(tmp_path / "site")
    yield site
    site.close()


@pytest.fixture
def supabase_site(tmp_path: Path) -> Iterator[SupabaseSite]:
    """A Supabase project."""
    site = SupabaseSite(tmp_path / "site", shared_stack())
    yield site
    site.close()


@pytest.fixture(params=["local", "supabase"])
def site(request: pytest.FixtureRequest) -> Site:
    """Each of them in turn."""
    found: Site = request.getfixturevalue(f"{request.param}_site")
    return found


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """The frames of the usual clip when nothing goes wrong."""
    site = LocalSite(tmp_path_factory.mktemp("undisturbed") / "site")
    task = site.enqueue()
    assert site.work("calm") == 0
    clip = site.clip(task)
    site.close()
    return clip
