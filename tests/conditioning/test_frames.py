"""Frame arithmetic, as properties over every length, mode and continuation."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wan2gp_patch.errors import ConditioningError
from wan2gp_patch.frames import (
    END_FRAME_MODES,
    ClipPlan,
    Continuation,
    EndFrameMode,
    Source,
    chain_frames,
    clips_for,
    continuation_of_video,
    decoded_frames,
    floor_to_clip_length,
    frame_count,
    is_clip_length,
    is_end_frame_length,
    latent_count,
    legal_lengths,
    lengths_that_hold,
    mode_named,
    model_latents,
    new_frames,
    plan_chain,
    prefix_frames,
    sequence_length,
)

lengths = st.integers(0, 60).map(lambda k: 4 * k + 1)
continuations = st.one_of(
    st.integers(0, 6).map(Continuation.latents),
    st.integers(0, 6).map(lambda k: Continuation.pixels(4 * k)),
    st.just(Continuation.last_frame()),
)
modes = st.sampled_from(EndFrameMode)


def test_the_numbers_of_the_specification() -> None:
    assert (latent_count(81), frame_count(21)) == (21, 81)
    assert (latent_count(82, end_frame=True), frame_count(22, end_frame=True)) == (22, 82)
    assert (latent_count(2, end_frame=True), frame_count(2, end_frame=True)) == (2, 2)
    assert new_frames(81, Continuation.latents(1)) == 76
    assert new_frames(81, Continuation.pixels(4)) == 72
    assert new_frames(81, Continuation.last_frame()) == 80
    assert new_frames(81, Continuation.nothing()) == 81
    assert chain_frames(81, 3, Continuation.latents(1)) == 81 + 2 * 76
    assert prefix_frames(4) == 9
    assert sequence_length(21, 60, 104) == 32760


@given(lengths)
def test_decoding_undoes_encoding_in_length(num_frames: int) -> None:
    assert frame_count(latent_count(num_frames)) == num_frames
    with_end = num_frames + 1
    assert frame_count(latent_count(with_end, end_frame=True), end_frame=True) == with_end


@given(lengths, modes)
def test_every_mode_gives_the_frames_that_were_asked_for(num_frames: int, mode: EndFrameMode) -> None:
    extra = mode is EndFrameMode.EXTRA_LATENT
    decoded = frame_count(model_latents(num_frames, mode), end_frame=extra)
    assert decoded == decoded_frames(num_frames, mode)
    assert decoded - (1 if extra else 0) == num_frames


@given(st.integers(-3, 400))
def test_only_4k_plus_1_is_a_clip_and_4k_plus_2_an_end_frame_clip(num_frames: int) -> None:
    assert is_clip_length(num_frames) == (num_frames > 0 and num_frames % 4 == 1)
    assert is_end_frame_length(num_frames) == (num_frames > 0 and num_frames % 4 == 2)


@given(st.integers(1, 400))
def test_rounding_goes_down_to_a_legal_length(num_frames: int) -> None:
    floor = floor_to_clip_length(num_frames)
    assert is_clip_length(floor)
    assert 0 <= num_frames - floor < 4


@given(st.integers(-5, 400), st.booleans())
def test_an_illegal_length_is_refused_with_its_neighbours(num_frames: int, end_frame: bool) -> None:
    assume(not (is_end_frame_length if end_frame else is_clip_length)(num_frames))
    with pytest.raises(ConditioningError) as refused:
        latent_count(num_frames, end_frame=end_frame)
    message = str(refused.value)
    assert str(num_frames) in message
    listed = [int(word) for word in message.split("legal lengths are ")[1].split(",")[:-1] if word != " ..."]
    assert all((n - (2 if end_frame else 1)) % 4 == 0 for n in listed)
    if num_frames > 2:
        assert max(n for n in listed if n < num_frames) > num_frames - 4
        assert min(n for n in listed if n > num_frames) < num_frames + 4


def test_the_list_of_legal_lengths_reads_well() -> None:
    assert legal_lengths(82) == "1, 5, 9, 13, ..., 81, 85, ... (4k+1)"
    assert legal_lengths(81, end_frame=True) == "2, 6, 10, 14, ..., 78, 82, ... (4k+2)"
    assert legal_lengths(0) == "1, 5, 9, 13, ... (4k+1)"
    assert legal_lengths(14) == "1, 5, 9, 13, 17, ... (4k+1)"


@pytest.mark.parametrize("latents", [0, -1])
def test_nothing_cannot_be_decoded(latents: int) -> None:
    with pytest.raises(ConditioningError, match=r"at least 1 .*legal are 1, 2, 3, .* give 1, 5, 9, "):
        frame_count(latents)
    with pytest.raises(ConditioningError, match=r"at least 2 .*legal are 2, 3, 4, .* give 2, 6, 10, "):
        frame_count(1, end_frame=True)


@given(lengths, continuations)
def test_a_continuation_adds_what_it_does_not_repeat(num_frames: int, continuation: Continuation) -> None:
    dropped = {
        Source.LATENTS: 1 + 4 * continuation.motion_latents,
        Source.PIXELS: 5 + continuation.overlap,
        Source.LAST_FRAME: 1,
    }[continuation.source]
    if num_frames > dropped:
        assert new_frames(num_frames, continuation) == num_frames - dropped
        return
    with pytest.raises(ConditioningError, match=r"at least \d+: legal lengths are") as refused:
        new_frames(num_frames, continuation)
    listed = [int(word) for word in str(refused.value).split("lengths are ")[1].split(", ")[:-1]]
    assert all(new_frames(length, continuation) > 0 for length in listed)
    assert listed[0] - 4 <= dropped


@given(lengths, continuations, st.integers(1, 5), st.integers(0, 2), modes)
def test_a_chain_shows_every_frame_once(
    num_frames: int, continuation: Continuation, clips: int, tail: int, mode: EndFrameMode
) -> None:
    assume(num_frames > continuation.head_drop)
    plan = plan_chain(num_frames, clips, continuation, end_tail_latents=tail)
    video: list[str] = []
    before: list[str] = []
    for clip in plan:
        assert clip.start == len(video)
        decoded = _frames_of_clip(clip, before, continuation)
        video += _kept(decoded, clip, mode)
        before = decoded[: len(decoded) - 4 * clip.handoff_drop]
    total = chain_frames(num_frames, clips, continuation)
    assert video == [f"frame {i}" for i in range(total)]
    assert total == num_frames + (clips - 1) * new_frames(num_frames, continuation)


def _frames_of_clip(clip: ClipPlan, before: list[str], continuation: Continuation) -> list[str]:
    """What the decoder shows of one clip, by name. `before`: the frames handed over by the clip before."""
    repeated = {
        Source.LATENTS: 4 * continuation.motion_latents,
        Source.PIXELS: 5 + continuation.overlap,
        Source.LAST_FRAME: 1,
    }[continuation.source]
    if not before:
        head = []
    else:
        anchor = ["anchor"] if continuation.source is Source.LATENTS else []
        head = [*anchor, *before[len(before) - repeated :]]
        assert head[len(anchor) :] == [f"frame {i}" for i in range(clip.start - repeated, clip.start)]
    assert len(head) == clip.head_drop
    new = [f"frame {clip.start + i}" for i in range(clip.num_frames - clip.head_drop)]
    return head + new


def _kept(decoded: list[str], clip: ClipPlan, mode: EndFrameMode) -> list[str]:
    extra = decoded_frames(clip.num_frames, mode) - clip.num_frames
    shown = [*decoded, *["end image"] * extra]
    return shown[clip.head_drop : len(shown) - extra - clip.tail_drop]


@given(st.integers(1, 2000), lengths, continuations)
def test_the_fewest_clips_that_reach_a_length(
    total: int, num_frames: int, continuation: Continuation
) -> None:
    assume(num_frames > continuation.head_drop)
    clips = clips_for(total, num_frames, continuation)
    assert chain_frames(num_frames, clips, continuation) >= total
    if clips > 1:
        assert chain_frames(num_frames, clips - 1, continuation) < total


def test_a_tail_is_sampled_and_cut_where_a_clip_is_continued() -> None:
    first, last = plan_chain(81, 2, Continuation.latents(1), end_tail_latents=2)
    assert (first.num_frames, first.tail_drop, first.handoff_drop, first.new_frames) == (89, 8, 2, 81)
    assert (last.num_frames, last.tail_drop, last.handoff_drop, last.new_frames) == (81, 0, 0, 76)


def test_a_video_that_is_too_short_gives_no_motion_latent() -> None:
    assert continuation_of_video(9, 4) == Continuation.latents(1)
    assert continuation_of_video(13, 8) == Continuation.latents(2)
    short = continuation_of_video(8, 4)
    assert short == Continuation.latents(0)
    assert new_frames(81, short) == 80


@pytest.mark.parametrize("overlap", [-4, 1, 3, 6])
def test_an_overlap_is_a_multiple_of_4(overlap: int) -> None:
    with pytest.raises(ConditioningError, match=f"overlap is {overlap}; legal values are 0, 4, 8"):
        Continuation.pixels(overlap)


def test_an_anchor_of_several_latents_is_dropped_whole() -> None:
    assert Continuation.latents(3).head_drop == 13
    assert Continuation.latents(3, anchor_latents=2).head_drop == 17
    assert new_frames(33, Continuation.latents(3, anchor_latents=2)) == 16


@given(st.integers(1, 200), st.booleans())
def test_lengths_that_hold_so_many_frames(frames: int, end_frame: bool) -> None:
    listed = lengths_that_hold(frames, end_frame=end_frame).split("lengths are ")[1].split(", ")[:-1]
    first, *others = map(int, listed)
    assert others == [first + 4, first + 8]
    assert is_clip_length(first)
    room = 1 if end_frame else 0
    assert first + room >= frames
    assert first == 1 or first - 4 + room < frames


def test_impossible_chains_are_refused() -> None:
    with pytest.raises(ConditioningError, match="clips is 0"):
        plan_chain(81, 0, Continuation.latents(1))
    with pytest.raises(ConditioningError, match="total_frames is 0"):
        clips_for(0, 81, Continuation.latents(1))
    with pytest.raises(ConditioningError, match="end_tail_latents is -1"):
        plan_chain(81, 2, Continuation.latents(1), end_tail_latents=-1)
    with pytest.raises(ConditioningError, match="something to continue from"):
        plan_chain(81, 2, Continuation.nothing())
    with pytest.raises(ConditioningError, match="motion_latent_count is -1"):
        Continuation.latents(-1)
    with pytest.raises(ConditioningError, match="num_frames is 0"):
        floor_to_clip_length(0)


@pytest.mark.parametrize("name", ["", "none", "IN_CHUNK", "last"])
def test_an_unknown_mode_is_refused_with_the_legal_ones(name: str) -> None:
    with pytest.raises(ConditioningError, match="in_chunk, extra_latent, slot, repeat_4"):
        mode_named(name)
    assert [mode_named(mode) for mode in END_FRAME_MODES] == list(END_FRAME_MODES)


def test_the_arithmetic_needs_no_torch() -> None:
    code = "import sys, wan2gp_patch.frames; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
