"""docs/models.md says what the code does."""

from __future__ import annotations

import re
from math import prod

import pytest

from models.weights_gguf_header import PACKINGS
from models.weights_networks import NETWORKS
from tests.cli.terminal import run
from tests.models_cli.conftest import ROOT

PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")


def test_every_packing_and_network_is_named() -> None:
    listed = next(line for line in PAGE.splitlines() if line.startswith("| GGUF:"))
    named = set(re.findall(r"\b(?:I?Q\d\w+|B?F\d\d)\b", listed))
    assert named == {name for name, _, _ in PACKINGS.values()}
    assert all(f"`{network.id}`" in PAGE for network in NETWORKS)


def test_tests_and_files_that_it_names_exist() -> None:
    for name in re.findall(r"`((?:tests|scripts)/[\w/.]+)`", PAGE):
        assert (ROOT / name).exists(), name


COMMANDS = [line.partition("#")[0].split()[3:] for line in PAGE.splitlines() if line.startswith("python -m ")]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_exist(command: list[str]) -> None:
    words = [word for word in command if word.isalpha()]
    page = run(*words[: 2 if words[0] in ("models", "lora") else 1], "--help")
    assert page.status == 0
    assert all(flag in page.out for flag in command if flag.startswith("--"))


def test_sizes_are_those_of_the_networks() -> None:
    sizes = {n.id: sum(prod(shape) for shape in n.shapes().values()) / 1e9 for n in NETWORKS}
    for row in re.findall(r"^\| (?:one|the|`).*billion \|.*$", PAGE, re.M):
        said = float(re.findall(r"([\d.]+) billion", row)[0])
        for network in re.findall(r"`([\w.]+)`", row):
            assert said == pytest.approx(sizes[network], abs=0.06), network
