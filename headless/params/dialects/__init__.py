"""Task types of existing frontends, as they queue them: one module turns each into our parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from headless.params.dialects.image_to_video import translate_i2v, translate_i2v_22, translate_wan_2_2_i2v
from headless.params.dialects.individual_travel_segment import translate_individual_travel_segment
from headless.params.dialects.translation import Translation
from headless.params.dialects.travel_orchestrator import translate_travel_orchestrator
from headless.params.dialects.travel_segment import translate_travel_segment
from headless.task import Continued, Json

Translate = Callable[[Mapping[str, Json], Continued | None], Translation]

DIALECTS: Final[Mapping[str, Translate]] = MappingProxyType(
    {
        "i2v": translate_i2v,
        "i2v_22": translate_i2v_22,
        "wan_2_2_i2v": translate_wan_2_2_i2v,
        "individual_travel_segment": translate_individual_travel_segment,
        "travel_segment": translate_travel_segment,
        "travel_orchestrator": translate_travel_orchestrator,
    }
)
"""Task type -> its adapter."""

__all__ = ["DIALECTS", "Translate", "Translation"]
