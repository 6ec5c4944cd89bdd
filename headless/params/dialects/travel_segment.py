"""`travel_segment`: one of the tasks into which an orchestrator elsewhere has split a travel."""

from __future__ import annotations

from collections.abc import Mapping

from headless.params.dialects.segment import translate_segment
from headless.params.dialects.translation import Translation
from headless.task import Continued, Json


def translate_travel_segment(params: Mapping[str, Json], continued: Continued | None) -> Translation:
    """`segment_index` is required. With SVI, a later segment continues the task in `dependant_on`."""
    return translate_segment(params, continued, standalone=False)
