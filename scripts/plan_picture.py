"""Draw the plan that docs/chains.md shows, from the first job on that page.

python -m scripts.plan_picture
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from headless.media.stills import write_poster
from headless.params import parse
from headless.planning.chain import ChainPlan
from headless.planning.chain_plan import make_chain
from headless.planning.picture import Picture, chain_picture
from models.registry import load_models_def

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "chains.md"
PICTURE: Final = ROOT / "docs" / "img" / "chains" / "plan.png"
_FILES: Final = (".png", ".mp4")


def jobs() -> list[dict[str, Any]]:
    """The jobs on the page, files as if they were stored."""
    blocks = PAGE.read_text(encoding="utf-8").split("```json\n")[1:]
    return [_stored(json.loads(block.partition("```")[0])) for block in blocks]


def planned(job: dict[str, Any]) -> ChainPlan:
    """The plan of a job of the page, in the model's usual size."""
    params = parse("generate", job)
    definition = load_models_def(ROOT / "configs").definition(params.model)
    return make_chain(params, definition, seed_source=lambda: 7)


def picture() -> Picture:
    """The first job's plan, with plain pictures in place of its images."""
    chain = planned(jobs()[0])
    return chain_picture(chain, {field: _plain(place) for place, field in enumerate(chain.references)})


def main() -> None:
    """Draw it."""
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    write_poster(picture(), PICTURE)
    print(f"drawn {PICTURE.relative_to(ROOT)}")


def _stored(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _stored(own) for name, own in value.items()}
    if isinstance(value, list):
        return [_stored(own) for own in value]
    is_file = isinstance(value, str) and value.endswith(_FILES)
    return f"storage://inputs/local/{value}" if is_file else value


def _plain(place: int) -> Picture:
    """A sky over snow, later in the day for each."""
    rows = np.linspace(0, 1, 60)[:, None, None]
    sky, snow = np.array((150 + 60 * place, 185 - 20 * place, 235 - 70 * place)), np.array((238, 241, 246))
    made: Picture = np.broadcast_to(np.where(rows < 0.55, sky, snow), (60, 104, 3)).astype(np.uint8)
    return made


if __name__ == "__main__":
    main()
