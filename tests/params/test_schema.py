"""What is written about parameters is what the code does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from headless.params import GenerateParams
from headless.params.legal import in_words, legal_values
from headless.params.show import show
from scripts import write_schema


def test_the_files_in_the_repository_are_current() -> None:
    stale = [path.name for path, text in write_schema.files().items() if path.read_text("utf-8") != text]
    assert stale == [], "run python -m scripts.write_schema"


def test_check_names_what_is_out_of_date(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert write_schema.main(["--check"]) == 0
    stale = write_schema.ROOT / "docs" / "schema" / "generate.schema.json"
    monkeypatch.setattr(write_schema, "files", lambda: {stale: "{}"})
    assert write_schema.main(["--check"]) == 1
    assert "docs/schema/generate.schema.json is out of date" in capsys.readouterr().out


def test_it_writes_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = tmp_path
    (root / "docs").mkdir()
    page = f"intro\n{write_schema.TABLE_BEGIN}\nstale text\n{write_schema.TABLE_END}\nend\n"
    (root / "docs" / "parameters.md").write_text(page, encoding="utf-8")
    monkeypatch.setattr(write_schema, "ROOT", root)
    assert write_schema.main([]) == 0
    assert json.loads((root / "docs" / "schema" / "generate.schema.json").read_text())["title"] == "generate"
    written = (root / "docs" / "parameters.md").read_text()
    assert written.startswith("intro\n")
    assert written.endswith("\nend\n")
    assert "| `num_frames` |" in written
    assert "stale text" not in written


def test_every_field_says_what_is_legal_and_what_it_means() -> None:
    schema = GenerateParams.model_json_schema()
    for name, node in schema["properties"].items():
        assert in_words(schema, node), name
        assert node["description"], name


def test_legal_values_deep_inside() -> None:
    schema = GenerateParams.model_json_schema()
    assert legal_values(schema, ("phase_config", "phases", 1, "guidance_scale")) == "a number from 0 to 30"
    assert legal_values(schema, ("loras", 0, "name")).startswith("the name of a .safetensors file")
    assert legal_values(schema, ("no_such",)) == ""


@pytest.mark.parametrize(
    ("node", "words"),
    [
        ({"type": "string"}, "text"),
        ({"type": "array"}, "a list"),
        ({"type": "object"}, "an object with fields"),
        ({}, ""),
    ],
)
def test_words_for_bare_types(node: dict[str, object], words: str) -> None:
    assert in_words({}, node) == words


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (10**40, "a number of more than 38 digits"),
        (1.5, "1.5"),
        ("a\nb\u202e", '"a\\nb\\u202e"'),
        ("x" * 61, '"' + "x" * 60 + '..."'),
        ("https://u:p@h/a?token=t", '"https://h/a…"'),
        ({"a": 1}, "an object with 1 fields"),
        ([1, 2], "a list of 2"),
        (object(), "a object"),
    ],
)
def test_how_values_are_shown(value: object, shown: str) -> None:
    assert show(value) == shown


def test_parameters_need_no_torch() -> None:
    code = "import sys, headless.params, headless.plan, models.registry; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=write_schema.ROOT)
