"""What a field may hold, in words, from the JSON Schema: for error messages and for the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def legal_values(schema: Mapping[str, Any], location: Sequence[str | int]) -> str:
    """What is legal at `location` (as pydantic names it) in a JSON Schema; empty where nobody can say."""
    node = schema
    for part in location:
        node = _inner(schema, node)
        step = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
        if step is None:
            return ""
        node = step
    return in_words(schema, node)


def in_words(schema: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    """`node` of `schema` as a phrase that can follow "give"."""
    legal = _note(node)
    node = _inner(schema, node)
    return legal or _note(node) or _phrase(node)


def _note(node: Mapping[str, Any]) -> str:
    return str(
        node.get("x-legal") or next((c["x-legal"] for c in node.get("anyOf", ()) if "x-legal" in c), "")
    )


def _inner(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """`node` without "or null" and without references."""
    choices = [choice for choice in node.get("anyOf", ()) if choice.get("type") != "null"]
    if len(choices) == 1:
        node = choices[0]
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node


def _phrase(node: Mapping[str, Any]) -> str:
    if "enum" in node:
        return "one of " + ", ".join(f'"{value}"' for value in node["enum"])
    match node.get("type"):
        case "boolean":
            return "true or false"
        case "integer":
            return f"a whole number from {node['minimum']} to {node['maximum']}"
        case "number":
            return f"a number from {node['minimum']:g} to {node['maximum']:g}"
        case "string":
            return f"text of at most {node['maxLength']} characters" if "maxLength" in node else "text"
        case "array":
            return f"a list of at most {node['maxItems']}" if "maxItems" in node else "a list"
        case "object":
            return "an object with " + ", ".join(
                node.get("required") or node.get("properties") or ("fields",)
            )
        case _:
            return ""
