"""Write the JSON Schemas and the parameter table of the documentation from the code that they describe.

    python -m scripts.write_schema [--check]

`--check` writes nothing and fails when a file is out of date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from headless.params.aliases import ALIASES
from headless.params.generate import GenerateParams
from headless.params.legal import in_words
from models.definition import ModelSection, Settings

ROOT: Final = Path(__file__).resolve().parent.parent
DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
TABLE_BEGIN: Final = "<!-- table: written by scripts/write_schema.py -->"
TABLE_END: Final = "<!-- end of table -->"


def generate_schema() -> dict[str, Any]:
    """The schema of a `generate` task's parameters; `x-aliases` lists other names of a field."""
    schema = GenerateParams.model_json_schema()
    for name, node in schema["properties"].items():
        if aliases := _aliases(name):
            node["x-aliases"] = aliases
    return {"$schema": DRAFT, **schema}


def model_schema() -> dict[str, Any]:
    """The schema of a `configs/*.json`: the `model` section, and the settings beside it."""
    settings, section = Settings.model_json_schema(), ModelSection.model_json_schema()
    model = {"title": "model", "type": "object", **_referable(section)}
    properties = {"model": model, **settings["properties"]}
    return {
        "$schema": DRAFT,
        "title": "model definition",
        "type": "object",
        "properties": properties,
        "required": ["model"],
    }


def parameter_table() -> str:
    """A Markdown table: parameter, legal values, meaning, other names."""
    schema = GenerateParams.model_json_schema()
    rows = ["| parameter | legal values | default | meaning | also sent as |", "|---|---|---|---|---|"]
    for name, node in schema["properties"].items():
        legal = in_words(schema, node).replace("|", "\\|")
        meaning = " ".join(node.get("description", "").split())
        also = ", ".join(f"`{alias}`" for alias in _aliases(name))
        rows.append(f"| `{name}` | {legal} | {_default(schema, name, node)} | {meaning} | {also} |")
    return "\n".join(rows)


def files() -> dict[Path, str]:
    """Every generated file and what it must hold."""
    docs = ROOT / "docs"
    page = docs / "parameters.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(TABLE_BEGIN)
    after = rest.partition(TABLE_END)[2]
    return {
        docs / "schema" / "generate.schema.json": _json(generate_schema()),
        docs / "schema" / "model.schema.json": _json(model_schema()),
        page: f"{before}{TABLE_BEGIN}\n\n{parameter_table()}\n\n{TABLE_END}{after}",
    }


def main(arguments: list[str]) -> int:
    """Write or check; the exit status."""
    stale = [path for path, text in files().items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date: run python -m scripts.write_schema")
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files()[path], encoding="utf-8")
        print(f"written {path.relative_to(ROOT)}")
    return 0


def _aliases(field: str) -> list[str]:
    return sorted(alias for alias, fields in ALIASES.items() if field in fields)


def _default(schema: dict[str, Any], name: str, node: dict[str, Any]) -> str:
    if name in schema["required"]:
        return "required"
    others = [choice["required"][0] for choice in schema["anyOf"]]
    if name == others[0]:
        return f"required, or {' or '.join(f'`{other}`' for other in others[1:])} with their own"
    default = node.get("default")
    return "" if default in (None, []) else f"`{json.dumps(default)}`"


def _referable(section: dict[str, Any]) -> dict[str, Any]:
    """Lists of a definition may also be the id of the model whose list to use."""
    for name in ("URLs", "URLs2", "loras", "loras_multipliers", "files"):
        node = section["properties"][name]
        own = {key: node.pop(key) for key in list(node) if key not in ("title", "description", "default")}
        node["anyOf"] = [own, {"type": "string", "description": "the id of another model"}]
    return {key: value for key, value in section.items() if key != "title"}


def _json(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
