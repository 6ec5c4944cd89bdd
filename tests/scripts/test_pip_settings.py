"""How pip is set up on a machine, read from `pip config list`."""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.image.clean_root import with_pip
from scripts.image.pip_settings import of_this_machine, parse
from tests.scripts.folder_root import FolderRoot


def test_options_become_variables_and_local_paths_are_found(tmp_path: Path) -> None:
    (tmp_path / "index" / "simple").mkdir(parents=True)
    (tmp_path / "wheels").mkdir()
    lines = [
        f"global.find-links='{tmp_path / 'wheels'}'",
        f"global.extra-index-url='https://mirror.example/simple\\nfile://{tmp_path}/index/simple'",
        "global.default-timeout='60'",
        ":env:.default-timeout='180'",
    ]
    settings = parse(lines)
    assert settings.environment == {
        "PIP_FIND_LINKS": str(tmp_path / "wheels"),
        "PIP_EXTRA_INDEX_URL": f"https://mirror.example/simple file://{tmp_path}/index/simple",
        "PIP_DEFAULT_TIMEOUT": "180",
    }
    assert settings.paths == (tmp_path / "wheels", tmp_path / "index")


def test_a_file_gets_another_place_in_the_root(tmp_path: Path) -> None:
    authority = tmp_path / "authority.pem"
    authority.write_text("a certificate", encoding="utf-8")
    root = FolderRoot(tmp_path / "root")
    variables = with_pip(root, parse([f"global.cert='{authority}'"]))
    assert root.inside(variables["PIP_CERT"]).read_text(encoding="utf-8") == "a certificate"


def test_a_machine_without_settings_gives_none() -> None:
    settings = parse([])
    assert (settings.environment, settings.paths) == ({}, ())


def test_this_machine_is_read() -> None:
    assert all(name.startswith("PIP_") for name in of_this_machine(sys.executable).environment)
