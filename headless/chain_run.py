"""The clips of a chain, one after another: each goes on from the one before, and the movie grows beside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from headless.beginning import Beginning
from headless.chain_colours import ClipColours, colours_of
from headless.chain_record import ChainRecord
from headless.clip_made import ClipMade, ClipParts, Target
from headless.clip_run import ClipRun
from headless.fingerprint import sha256_of
from headless.growing_movie import MovieLine
from headless.hand_off import HandOff
from headless.media.movie import Movie
from headless.output_checks import Refusal
from headless.planning.chain import ChainPlan, frames_of_latents
from headless.publish import CONTACT_SHEET_FILE, LATENTS_FILE, POSTER_FILE, VIDEO_FILE, alternative_file
from headless.segment import Picture
from headless.segment_told import adjustments_of, alternative_told, refused_told
from wan2gp_patch.adjustment import Adjustment

log = structlog.get_logger(__name__)


@dataclass
class ChainRun:
    """`generate()` in the engine's thread, then `finish()`; what a clip still needs is done by `line`.

    `folder` is for what lies here while the task runs, `files` for what is published, under `prefix`.
    `patched` gives a clip the model definition that it asks for.
    """

    chain: ChainPlan
    parts: tuple[ClipParts, ...]
    clips: ClipRun
    line: MovieLine
    movie: Movie
    folder: Path
    files: Path
    prefix: str
    patched: Callable[[ClipParts], AbstractContextManager[None]]
    beginning: Beginning = field(default_factory=Beginning)

    def __post_init__(self) -> None:
        first = self.beginning
        travels = any("end_image" in clip.fields for clip in self.chain.clips)
        anchor = None if travels else self._anchor()
        self._record = ChainRecord(first.frames, first.newest, anchor, len(self.parts), self.parts[0].limits)
        self._work = [clip.plan.num_frames * (1 + len(clip.alternatives)) for clip in self.chain.clips]
        self._left = HandOff()
        self._last: ClipMade | None = None
        self.adjustments: tuple[Adjustment, ...] = ()

    def generate(self) -> None:
        """Make every clip, with its alternatives."""
        handed = HandOff(None, self.beginning.newest)
        if self.beginning.head is not None:
            self.movie.append(self.beginning.head.path)
        for parts in self.parts:
            self.line.check()
            with self.patched(parts):
                made = self._clip(parts, handed)
                for place, seed in enumerate(parts.clip.alternatives):
                    self._alternative(parts.of_seed(seed), handed, place)
            spent, handed = handed.latents, made.hand_off
            if spent is not None:
                spent.unlink()
            self._last = made
            self.adjustments += adjustments_of(made)
        self._left = handed

    def finish(self, metadata: Mapping[str, str], title: str) -> list[dict[str, Any]]:
        """Complete the files; what the result says of the segments."""
        self.line.finish()
        self.movie.finish(self.files / VIDEO_FILE, metadata)
        last = self.chain.clips[-1]
        # Of a loop whose end was cut by a frame the latents reach one frame further than what is shown.
        if self._left.latents is not None and last.tail_frames == frames_of_latents(last.tail_latents):
            self._left.latents.rename(self.files / LATENTS_FILE)
        told = self._record.segments(loop=self.chain.loop)
        self._record.write_stills(
            self.files / POSTER_FILE, self.files / CONTACT_SHEET_FILE, title=title, loop=self.chain.loop
        )
        return told

    @property
    def last(self) -> ClipMade:
        """The last clip."""
        if self._last is None:
            raise RuntimeError("no clip was made")
        return self._last

    def _clip(self, parts: ClipParts, handed: HandOff) -> ClipMade:
        index = parts.clip.index
        self._begin(index, 0)
        made = self.clips.make(
            parts,
            handed,
            replace(self._target(f"clip-{index:04d}", index), saved=self._looking_ahead(index)),
            colours=lambda: self._colours(parts, handed),
            later=self._later(index, 0),
        )
        self.line.add(lambda: self._append(made))
        return made

    def _alternative(self, parts: ClipParts, handed: HandOff, place: int) -> None:
        """The clip once more with another seed, whatever the checks of its pictures say."""
        index, seed = parts.clip.index, parts.clip.seed
        self._begin(index, 1 + place)
        target = self._target(f"clip-{index:04d}-{seed}", None)
        made = self.clips.attempt(
            parts, handed, target, self._colours(parts, handed), self._later(index, 1 + place), learned=False
        )
        self.line.add(lambda: self._keep_alternative(index, made))

    def _begin(self, index: int, round_: int) -> None:
        whole, share = sum(self._work), self.chain.clips[index].plan.num_frames
        done = sum(self._work[:index]) + round_ * share
        self.clips.listener.begin_segment(index, len(self.parts), done / whole, share / whole)
        log.info("segment", segment=index, segments=len(self.parts), **({"again": round_} if round_ else {}))

    def _later(self, index: int, round_: int) -> float:
        """Seconds that the engine needs for what comes after this."""
        clips = self.chain.clips
        seconds = self.clips.forecast.seconds
        here = [seconds(clips[index].plan)] * (len(clips[index].alternatives) - round_)
        return sum((*here, *(seconds(c.plan) * (1 + len(c.alternatives)) for c in clips[index + 1 :])))

    def _target(self, name: str, index: int | None) -> Target:
        head = self.beginning.head
        return Target(
            video=self.folder / f"{name}.mp4",
            latents=self.folder / f"{name}.safetensors",
            parameter_set=0 if head is None else head.parameter_set,
            index=index,
        )

    def _looking_ahead(self, index: int) -> Callable[[Path], None]:
        if index + 1 == len(self.parts):
            return lambda _: None
        return partial(self.clips.look_ahead, self.parts[index + 1])

    def _colours(self, parts: ClipParts, handed: HandOff) -> ClipColours | None:
        anchor = parts.inputs.pictures.get("anchor_image", self._anchor())
        return colours_of(self.chain, parts.clip, anchor, handed.frames)

    def _anchor(self) -> Picture | None:
        return self.parts[0].checks.anchor

    def _append(self, made: ClipMade) -> None:
        """What a finished clip still needs, beside the engine."""
        with made.video:
            pass
        self.movie.append(made.target.video)
        made.target.video.unlink()
        self._record.add(made)
        done = made.parts.clip.index + 1
        if done < len(self.parts):
            self.line.shown.offer(done)

    def _keep_alternative(self, index: int, made: ClipMade | Refusal) -> None:
        if isinstance(made, Refusal):
            self._record.add_alternative(index, refused_told(made))
            return
        with made.video:
            pass
        made.hand_off  # noqa: B018 - waits until nobody writes its latents any more
        made.target.latents.unlink(missing_ok=True)
        name = alternative_file(index, made.parts.clip.seed)
        path = made.target.video.rename(self.files / name)
        size = path.stat().st_size
        stored = {"key": f"{self.prefix}/{name}", "sha256": sha256_of(path), "bytes": size}
        self._record.add_alternative(index, alternative_told(made) | {"files": {"video": stored}})
