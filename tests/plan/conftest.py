"""A planner over the shipped models and over made-up ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from headless.params import parse
from headless.plan import Plan, make_plan
from headless.planning.chain import ChainPlan
from headless.planning.chain_plan import make_chain
from headless.ports import ModelDefinition
from models.registry import Registry, load_models_def

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


class Planner(Protocol):
    """Plans a task of the tiny model, with `sizes` of its images and changes to the definition."""

    def __call__(
        self,
        *,
        sizes: dict[str, tuple[int, int]] | None = None,
        model_def: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Plan:
        """The plan of `fields`."""


class ChainPlanner(Protocol):
    """Plans a chain of the tiny model, or of its `svi2pro` twin, with changes to the definition."""

    def __call__(
        self,
        *,
        sizes: dict[str, tuple[int, int]] | None = None,
        settings: dict[str, Any] | None = None,
        model_def: dict[str, Any] | None = None,
        **fields: Any,
    ) -> ChainPlan:
        """The plan of `fields`."""


@pytest.fixture(scope="session")
def registry() -> Registry:
    return load_models_def(CONFIGS)


@pytest.fixture
def no_seed() -> Callable[[], int]:
    """A seed source that must not be asked."""

    def asked() -> int:
        pytest.fail("no seed is to be chosen")

    return asked


@pytest.fixture
def plan(registry: Registry) -> Planner:
    def planned(
        *,
        sizes: dict[str, tuple[int, int]] | None = None,
        model_def: dict[str, Any] | None = None,
        settings: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Plan:
        params = parse("generate", {"prompt": "a cat", "model": "wan_tiny_i2v", **fields})
        own = registry.definition(params.model)
        definition: ModelDefinition = replace(
            own,
            model_def={**own.model_def, **(model_def or {})},
            settings={**own.settings, **(settings or {})},
        )
        return make_plan(params, definition, seed_source=lambda: 4242, image_sizes=sizes)

    return planned


@pytest.fixture(scope="session")
def chain(registry: Registry) -> ChainPlanner:
    def planned(
        *,
        sizes: dict[str, tuple[int, int]] | None = None,
        settings: dict[str, Any] | None = None,
        model_def: dict[str, Any] | None = None,
        **fields: Any,
    ) -> ChainPlan:
        given = {"prompt": "a cat", "model": "wan_tiny_i2v"} | fields
        params = parse("generate", {name: value for name, value in given.items() if value is not None})
        own = registry.definition(params.model)
        definition: ModelDefinition = replace(
            own,
            model_def={**own.model_def, **(model_def or {})},
            settings={**own.settings, **(settings or {})},
        )
        return make_chain(params, definition, seed_source=lambda: 4242, image_sizes=sizes)

    return planned
