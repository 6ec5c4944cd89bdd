"""`individual_travel_segment`: one segment that a user wants made, or made again."""

from __future__ import annotations

from collections.abc import Mapping

from headless.params.dialects.segment import translate_segment
from headless.params.dialects.translation import Translation
from headless.task import Continued, Json


def translate_individual_travel_segment(
    params: Mapping[str, Json], continued: Continued | None
) -> Translation:
    """It continues `svi_predecessor_video_url`, else the task in `dependant_on`; its seed is kept."""
    return translate_segment(params, continued, standalone=True)
