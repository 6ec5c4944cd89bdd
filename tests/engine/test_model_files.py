"""From a definition to the files on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from headless.engine.model_files import ModelFiles
from headless.errors import ModelMissing

DEFINITION = {
    "files": {"vae": "some/vae", "transformer": "some/transformer"},
    "URLs": ["https://example.org/a/high%20fp16.safetensors?download=true", "high_fp8.safetensors"],
    "repository": "some/model",
}


def test_the_first_folder_that_has_a_file_wins(tmp_path: Path) -> None:
    for folder in ("user", "shipped"):
        (tmp_path / folder / "some" / "vae").mkdir(parents=True)
    files = ModelFiles("m", DEFINITION, [tmp_path / "user", tmp_path / "shipped"])
    assert files.find("vae") == tmp_path / "user" / "some" / "vae"


def test_a_download_stands_in_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "high fp16.safetensors").touch()
    assert ModelFiles("m", DEFINITION, [tmp_path]).find("transformer").name == "high fp16.safetensors"


def test_what_is_missing_is_named_with_every_place_and_its_source(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing) as caught:
        ModelFiles("m", DEFINITION, [tmp_path]).find("transformer")
    message = str(caught.value)
    for part in (
        "transformer of m",
        "some/transformer",
        "high_fp8.safetensors",
        "some/model on Hugging Face",
    ):
        assert part in message


def test_a_role_that_nothing_names(tmp_path: Path) -> None:
    files = ModelFiles("m", {}, [tmp_path])
    assert not files.has("vae")
    with pytest.raises(ModelMissing, match="names no vae"):
        files.find("vae")
