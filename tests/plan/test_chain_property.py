"""Whatever the chain: every frame of the video comes from one clip, once, and in order."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headless.planning.chain import ChainClip, ChainPlan
from headless.planning.slots import latent_of, slots
from tests.plan.conftest import ChainPlanner

START = "https://h/start.png"
QUICK = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=100)


@st.composite
def chains(draw: st.DrawFn) -> dict[str, Any]:
    """Requests of which none is to be refused."""
    svi = draw(st.booleans())
    continuation = draw(
        st.sampled_from(["latents", "pixels", "last_frame"] if svi else ["pixels", "last_frame"])
    )
    in_latents = ["extra_latent", "slot"]
    mode = draw(
        st.sampled_from(in_latents if continuation == "latents" else [*in_latents, "in_chunk", "repeat_4"])
    )
    loop = draw(st.booleans())
    count = draw(st.integers(2 if loop else 1, 6))
    overlap = draw(st.none() | st.sampled_from([0, 4, 8, 12])) if count > 1 else None
    segments = []
    for index in range(count):
        segment: dict[str, Any] = {"num_frames": draw(st.integers(29, 120))}
        if draw(st.booleans()) and not (loop and index == count - 1):
            segment["end_image"] = f"https://h/end{index}.png"
        segments.append(segment)
    return {
        "model": "wan_tiny_i2v_svi2pro" if svi else "wan_tiny_i2v",
        "start_image": START,
        "segments": segments,
        "continuation": continuation,
        "overlap": overlap,
        "end_frame_mode": mode,
        "end_tail_latents": draw(st.integers(0, 2)),
        "loop": loop,
    }


def heads(fields: dict[str, Any], index: int) -> int:
    """What CONDITIONING.md says of the frames that a clip repeats."""
    if index == 0:
        return 0
    overlap = 4 if fields["overlap"] is None else fields["overlap"]
    ends = "end_image" in fields["segments"][index] or (
        fields["loop"] and index == len(fields["segments"]) - 1
    )
    svi = fields["model"].endswith("svi2pro")
    match fields["continuation"]:
        case "last_frame":
            return 1
        case "pixels" if not svi or (ends and fields["end_frame_mode"] != "slot"):
            return 5 + int(overlap)
        case _:
            return 1 + int(overlap)


def numbers(chain: ChainPlan) -> list[int]:
    """The frames that are shown, numbered as an engine counts that repeats what it continues."""
    shown: list[int] = []
    last = -1
    for clip in chain.clips:
        made = list(range(last + 1 - clip.head_frames, last + 1 - clip.head_frames + frames_made(clip)))
        shown += made[clip.head_frames : len(made) - clip.tail_frames]
        last = made[-1] - 4 * clip.tail_latents
    return shown


def frames_made(clip: ChainClip) -> int:
    return clip.plan.segments[0].num_frames


@QUICK
@given(chains())
def test_every_frame_appears_once(chain: ChainPlanner, fields: dict[str, Any]) -> None:
    made = chain(**fields)
    assert numbers(made) == list(range(made.frames_out))
    following = 0
    for clip in made.clips:
        assert clip.first_frame == following
        assert clip.shown_frames > 0
        assert clip.head_frames + clip.shown_frames + clip.tail_frames == frames_made(clip)
        following += clip.shown_frames


@QUICK
@given(chains())
def test_lengths_are_those_of_the_arithmetic(chain: ChainPlanner, fields: dict[str, Any]) -> None:
    made, segments, loop = chain(**fields), fields["segments"], fields["loop"]
    lengths = [segment["num_frames"] - (segment["num_frames"] - 1) % 4 for segment in segments]
    expected = [length - heads(fields, index) for index, length in enumerate(lengths)]
    cut = loop and fields["end_frame_mode"] != "extra_latent"
    expected[-1] -= cut
    assert [clip.shown_frames for clip in made.clips] == expected
    assert made.duration_seconds == sum(expected) / 16
    for clip, length in zip(made.clips, lengths, strict=True):
        closes = loop and clip.index == len(segments) - 1
        tail = 0 if closes else fields["end_tail_latents"]
        assert frames_made(clip) == length + 4 * tail
        assert (clip.tail_latents, clip.tail_frames) == (tail, 4 * tail + (closes and cut))
        assert clip.plan.continuation.head_drop == clip.head_frames == heads(fields, clip.index)
        ends = "end_image" in clip.fields
        extra = ends and fields["end_frame_mode"] == "extra_latent"
        assert clip.plan.segments[0].latents == (frames_made(clip) - 1) // 4 + 1 + extra


@QUICK
@given(chains())
def test_what_a_clip_is_told_lies_inside_it(chain: ChainPlanner, fields: dict[str, Any]) -> None:
    for clip in chain(**fields).clips:
        latents = clip.plan.segments[0].latents
        told = slots(clip)
        assert told[0].first == 0
        for slot in told:
            assert 0 <= slot.first <= slot.last <= frames_made(clip)
            assert 0 <= slot.latents[0] <= slot.latents[1] < latents
        places = [frame for slot in told for frame in range(slot.first, slot.last + 1)]
        assert len(places) == len(set(places))
        assert ({slot.role for slot in told} & {"end"} == {"end"}) is ("end_image" in clip.fields)


@QUICK
@given(st.integers(0, 500))
def test_a_frame_lies_in_the_latent_that_decodes_to_it(frame: int) -> None:
    first = 0
    for latent in range(200):
        length = 1 if latent == 0 else 4
        if first <= frame < first + length:
            assert latent_of(frame) == latent
            return
        first += length


@settings(QUICK, max_examples=50)
@given(
    seconds=st.floats(0.1, 30, allow_nan=False),
    frames=st.none() | st.integers(29, 161),
    fps=st.sampled_from([None, 8, 24, 60]),
    svi=st.booleans(),
    loop=st.sampled_from([None, "extra_latent", "in_chunk"]),
    tail=st.integers(0, 1),
    overlap=st.none() | st.sampled_from([0, 4, 8]),
)
def test_seconds_become_the_nearest_length(
    chain: ChainPlanner,
    seconds: float,
    frames: int | None,
    fps: int | None,
    svi: bool,
    loop: str | None,
    tail: int,
    overlap: int | None,
) -> None:
    fields: dict[str, Any] = {"seconds": seconds, "num_frames": frames, "fps": fps, "loop": loop is not None}
    fields |= {
        "end_frame_mode": loop,
        "end_tail_latents": tail,
        "start_image": START,
        "continuation": "pixels",
    }
    many = seconds * (fps or 16) > 180
    model = "wan_tiny_i2v_svi2pro" if svi else "wan_tiny_i2v"
    longest = {"max_frames": 169, "num_frames": 33}
    made = chain(model=model, settings=longest, overlap=overlap if many or loop else None, **fields)
    asked, shortest = seconds * made.first.fps, 20 * len(made.clips)
    assert made.frames_out % 4 == (0 if loop == "in_chunk" else 1)
    assert abs(made.frames_out - asked) <= 2 + 1e-6 or made.frames_out <= shortest
    whole = frames or 33
    lengths = [frames_made(clip) - 4 * clip.tail_latents for clip in made.clips]
    assert max(lengths) <= whole - (whole - 1) % 4
    assert max(lengths) - min(lengths) <= 4 or made.frames_out <= shortest
    assert numbers(made) == list(range(made.frames_out))
    told = [entry for entry in made.adjustments if entry.field == "seconds"]
    assert (told == []) is (round(made.frames_out / made.first.fps, 4) == seconds)
