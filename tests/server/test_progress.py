"""The pure half of progress: when to speak, and what a line says."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runapi_mcp.generations.values import Evidence
from runapi_mcp.printable import remove_unseen
from runapi_mcp.progress import HEARTBEAT, LINE_CHARS, Cadence, progress_line

EVIDENCE = Evidence(
    phase="writing",
    searching=False,
    round=1,
    ahead=0,
    wait_left=0.0,
    characters=0,
    tokens=None,
    silent=0.0,
    tail="",
)
STEPS = st.lists(st.tuples(st.floats(0, 3), st.booleans(), st.booleans()), max_size=60)


def _spoken(steps: list[tuple[float, bool, bool]]) -> tuple[list[float], list[float]]:
    """Play a request's looks at the clock; return when it spoke, and the times it reported."""
    cadence, now = Cadence(), 0.0
    at: list[float] = []
    reported: list[float] = []
    for pause, news, pressing in steps:
        now += pause
        if cadence.due(now, news=news, pressing=pressing) <= 0:
            at.append(now)
            reported.append(cadence.spoke(now))
    return at, reported


@given(STEPS)
def test_it_speaks_at_most_twice_in_any_second(steps: list[tuple[float, bool, bool]]) -> None:
    at, _ = _spoken(steps)
    assert all(later - first >= 1.0 - 1e-9 for first, later in zip(at, at[2:], strict=False))


@given(STEPS)
def test_what_is_reported_strictly_increases_and_is_never_ahead_by_more_than_a_moment(
    steps: list[tuple[float, bool, bool]],
) -> None:
    at, reported = _spoken(steps)
    assert all(one < other for one, other in itertools.pairwise(reported))
    assert all(abs(time - told) <= 0.003 for time, told in zip(at, reported, strict=True))


@example(pauses=[0.0, 0.0, 0.0], start=438.7705)  # two of these once rounded to the same millisecond
@given(st.lists(st.floats(0, 0.002), min_size=2, max_size=40), st.floats(0, 5000))
def test_even_without_pauses_no_two_reports_are_the_same(pauses: list[float], start: float) -> None:
    cadence, now = Cadence(), start
    reported = []
    for pause in pauses:
        now += pause
        reported.append(cadence.spoke(now))
    assert all(one < other for one, other in itertools.pairwise(reported))


def test_the_first_line_is_due_at_once_and_the_first_piece_too_whenever_it_comes() -> None:
    cadence = Cadence()
    assert cadence.due(0.0, news=False, pressing=False) == 0
    cadence.spoke(0.0)
    assert cadence.due(0.1, news=True, pressing=False) == pytest.approx(0.9)
    assert cadence.due(0.3, news=True, pressing=True) == 0
    cadence.spoke(0.3)
    assert cadence.due(0.4, news=True, pressing=True) == pytest.approx(0.6)


def test_ninety_silent_seconds_hear_a_heartbeat_every_five() -> None:
    cadence, now = Cadence(), 0.0
    cadence.spoke(now)
    spoken = [now]
    while now < 90:
        now += cadence.due(now, news=False, pressing=False)
        cadence.spoke(now)
        spoken.append(now)
    assert len(spoken) == 19
    assert all(later - one <= HEARTBEAT + 0.001 for one, later in itertools.pairwise(spoken))


@pytest.mark.parametrize(
    ("evidence", "line"),
    [
        (replace(EVIDENCE, phase="connecting"), "connecting"),
        (replace(EVIDENCE, phase="queued", ahead=3), "queued, 3 ahead"),
        (replace(EVIDENCE, phase="queued", ahead=3, silent=60), "queued, 3 ahead"),
        (replace(EVIDENCE, phase="waiting", wait_left=7.6, silent=20), "waiting 8 s as RunAPI asked"),
        (replace(EVIDENCE, phase="open", silent=9), "connected, nothing written yet · no byte for 9 s"),
        (replace(EVIDENCE, phase="open", searching=True), "searching"),
        (
            replace(EVIDENCE, phase="thinking", characters=1234, tail="**Plan**\n\nFirst this.\n"),
            "thinking · 1,234 characters · First this.",
        ),
        (
            replace(EVIDENCE, phase="thinking", characters=1234, tail="First this.", silent=12.2),
            "thinking · 1,234 characters · no byte for 12 s · First this.",
        ),
        (
            replace(EVIDENCE, characters=1234, tokens=2048, tail="One\nTwo"),
            "writing · 2,048 tokens · Two",
        ),
        (replace(EVIDENCE, characters=5, tail="hello", round=2), "writing (try 2) · 5 characters · hello"),
    ],
)
def test_a_line_holds_the_phase_what_came_the_silence_and_the_last_line(
    evidence: Evidence, line: str
) -> None:
    assert progress_line(evidence) == line


def test_a_stalled_upstream_looks_different_from_a_thinking_one() -> None:
    thinking = replace(EVIDENCE, phase="thinking", characters=90, tail="Hm.", silent=0.4)
    stalled = replace(thinking, silent=40)
    assert "no byte for 40 s" in progress_line(stalled)
    assert "no byte" not in progress_line(thinking)


@given(
    st.builds(
        Evidence,
        phase=st.sampled_from(["queued", "connecting", "waiting", "open", "thinking", "writing"]),
        searching=st.booleans(),
        round=st.integers(1, 9),
        ahead=st.integers(0, 10**9),
        wait_left=st.floats(0, 1e9),
        characters=st.integers(0, 10**12),
        tokens=st.none() | st.integers(0, 10**12),
        silent=st.floats(0, 1e9),
        tail=st.text(max_size=600),
        described=st.text(max_size=600),
    )
)
def test_a_line_is_one_printable_line_of_at_most_200_characters(evidence: Evidence) -> None:
    line = progress_line(evidence)
    assert 0 < len(line) <= LINE_CHARS == 200
    assert line.splitlines() == [line]
    assert remove_unseen(line) == line
