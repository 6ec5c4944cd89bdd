from __future__ import annotations

from pathlib import Path

import pytest

from tests.media.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A certificate authority that nobody trusts unless told to."""
    folder = tmp_path / "authority"
    folder.mkdir()
    return Authority(folder)
