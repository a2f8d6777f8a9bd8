"""How long a host is kept waiting, and how much it is given at once: by the table, or as it was set."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.lowlevel
import pytest

from runapi_mcp.host_limits import (
    HOSTS,
    LEAST_HOLD,
    UNKNOWN_HOLD,
    Learned,
    Sessions,
    hold_seconds,
    page_chars,
    patience_of,
    task_seconds,
)


@pytest.mark.parametrize(
    ("host", "with_progress", "without"),
    [
        (None, 50, 50),
        ("", 50, 50),
        ("some-agent-of-mine", 50, 50),
        ("claude-code", 600, 110),
        ("Claude-Code", 600, 110),
        ("claude-ai", 50, 50),
        ("codex-mcp-client", 240, 240),
        ("gemini-cli-mcp-client", 540, 540),
        ("opencode", 540, 50),
        ("Visual Studio Code", 540, 50),
        ("Zed", 50, 50),
        ("goose-desktop", 270, 270),
    ],
)
def test_a_host_is_kept_waiting_as_long_as_it_is_known_to_wait(
    host: str | None, with_progress: float, without: float
) -> None:
    assert hold_seconds("auto", host, wants_progress=True) == with_progress
    assert hold_seconds("auto", host, wants_progress=False) == without


@dataclass(frozen=True)
class Observed:
    """What was seen of a host, or reported of it: the row says as much, and no more than it bears.

    Attributes:
        says: What the host calls itself.
        limit: Seconds after which it gives a call up; `None` if none was found.
        starts_anew: Whether progress starts that time anew.
        progress: Whether it asks for progress.
        cap: Characters of one result that it shows its model; `None` if not known to cut.
        stays: Seconds that are no limit of the host's, after which it is answered all the same; why.
    """

    says: str
    limit: float | None
    starts_anew: bool = False
    progress: bool = True
    cap: int | None = None
    stays: tuple[float, str] | None = None


OBSERVED: Final = (
    Observed("claude-code", None, stays=(600, "silence of ten minutes must bring the whole answer")),
    Observed("claude-ai", 60),  # 240 s, in some builds 60 s
    Observed("codex-mcp-client", 300, cap=12_000),
    Observed("gemini-cli-mcp-client", 600, cap=40_000),
    Observed("opencode", 60, starts_anew=True, cap=51_200),
    Observed("Visual Studio Code", None, stays=(540, "as the longest that others bear")),
    Observed("Zed", 60),
    Observed("Cline", 60),
    Observed("goose", 300),
    Observed("inspector-client", 60, progress=False),
    Observed("cursor-vscode", 60),  # one report of five minutes
    Observed("sdk of TypeScript, by any name", 60),
)
_MARGIN: Final = 0.05
"""What must be left of a host's time when its call is answered, as a share of it."""


@pytest.mark.parametrize("host", OBSERVED, ids=lambda host: host.says)
def test_a_row_says_what_was_seen_of_its_host(host: Observed) -> None:
    with_progress = hold_seconds("auto", host.says, wants_progress=True)
    without = hold_seconds("auto", host.says, wants_progress=False)
    if host.limit is not None:
        assert without <= host.limit * (1 - _MARGIN)
        assert with_progress <= host.limit * (1 - _MARGIN) or host.starts_anew
        assert without >= host.limit * 0.8, "no more than need be is given away"
        assert (row := patience_of(host.says)) is None or f"{host.limit:g} s" in row.reason
    elif host.stays is not None:
        assert with_progress == host.stays[0]
        assert without <= 110, "what asks for no progress may have the limit of most clients"
    chars = page_chars(40_000, host.says)
    if host.cap is not None:
        assert chars <= host.cap
        row = patience_of(host.says)
        assert row is not None
        assert re.search(r"characters|KB", row.reason), "that it cuts is said"
    else:
        assert chars == 40_000


def test_every_row_was_seen() -> None:
    assert {row.name for row in HOSTS} == {row.name for host in OBSERVED if (row := patience_of(host.says))}


@pytest.mark.parametrize("host", [None, "claude-code", "mcp"])
def test_what_was_set_holds_for_every_host(host: str | None) -> None:
    assert hold_seconds(7, host, wants_progress=True) == 7.0
    assert hold_seconds(0, host, wants_progress=False) == 0.0


def test_no_row_keeps_a_host_longer_without_progress_than_with() -> None:
    assert all(0 < row.silent_hold <= row.hold for row in HOSTS)


def test_every_row_can_be_reached() -> None:
    assert all(patience_of(row.name) is row for row in HOSTS)


def test_an_unknown_host_is_answered_before_the_minute_that_most_clients_give() -> None:
    assert UNKNOWN_HOLD < 60


@pytest.mark.parametrize(
    ("host", "setting", "chars"),
    [
        (None, 40_000, 40_000),
        ("claude-code", 40_000, 40_000),
        ("codex", 40_000, 11_000),
        ("codex", 5_000, 5_000),
        ("gemini-cli", 40_000, 36_000),
    ],
)
def test_a_page_is_no_longer_than_the_host_takes_and_than_was_set(
    host: str | None, setting: int, chars: int
) -> None:
    assert page_chars(setting, host) == chars


@pytest.mark.parametrize("host", [None, "claude-code", "some-agent"])
def test_a_call_becomes_a_task_before_a_person_wonders_and_long_before_any_limit(host: str | None) -> None:
    assert task_seconds("auto", host) == 8
    assert task_seconds(20, host) == 20
    assert task_seconds("auto", host) < hold_seconds("auto", host, wants_progress=False)


def at(*seconds: float) -> Callable[[], float]:
    """A clock that shows these times, one after the other."""
    return iter(seconds).__next__


async def test_a_client_that_takes_its_request_back_and_asks_again_has_given_up() -> None:
    # openai-agents 0.24 on the Python SDK 2.3 sends notifications/cancelled after its 5 s.
    learned = Learned()
    with anyio.CancelScope() as scope, learned.ask("why", at(100.0, 105.0)):
        scope.cancel()
        await anyio.lowlevel.checkpoint()
    assert learned.hold is None
    with learned.ask("how", at(106.0)) as another, learned.ask("why", at(120.0)) as again:
        assert (another, again) == (False, True)
    assert learned.hold == pytest.approx(0.7 * 5)


async def test_a_person_who_stops_a_call_at_once_and_asks_again_shows_nothing() -> None:
    learned = Learned()
    with anyio.CancelScope() as scope, learned.ask("why", at(100.0, 101.0)):
        scope.cancel()
        await anyio.lowlevel.checkpoint()
    with learned.ask("why", at(102.0)) as again:
        assert not again
    assert learned.hold is None


def test_a_client_that_asks_again_while_its_first_request_is_open_has_given_up() -> None:
    learned = Learned()
    with learned.ask("why", at(100.0)) as first, learned.ask("why", at(106.0)) as second:
        assert (first, second) == (False, True)
    assert learned.hold == pytest.approx(0.7 * 6)


@pytest.mark.parametrize(
    ("question", "later"),
    [("why", LEAST_HOLD - 0.1), ("how", 20.0)],
    ids=["side by side", "another question"],
)
def test_calls_side_by_side_and_other_questions_show_nothing(question: str, later: float) -> None:
    learned = Learned()
    with learned.ask("why", at(0.0)), learned.ask(question, at(later)) as gave_up:
        assert not gave_up
    assert learned.hold is None


def test_the_same_question_after_its_answer_shows_nothing() -> None:
    learned = Learned()
    with learned.ask("why", at(0.0)):
        pass
    with learned.ask("why", at(30.0)) as gave_up:
        assert not gave_up
    assert learned.hold is None


def test_what_was_learned_falls_and_never_below_the_least() -> None:
    learned = Learned()
    for wait in (20.0, 40.0, 5.0, 3.0):
        with learned.ask("why", at(0.0)), learned.ask("why", at(wait)):
            pass
    assert learned.hold == LEAST_HOLD


def test_an_answer_that_took_longer_and_arrived_raises_it_again() -> None:
    learned = Learned(hold=4.0)
    learned.give("g_late", 30.0)
    learned.give("g_soon", 3.0)
    learned.take("g_soon")
    learned.take("g_unknown")
    assert learned.hold == 4.0
    learned.take("g_late")
    assert learned.hold == 30.0


def test_a_handle_that_was_given_twice_proves_the_shorter_time() -> None:
    learned = Learned(hold=4.0)
    learned.give("g_x", 5.0)
    learned.give("g_x", 50.0)
    learned.take("g_x")
    assert learned.hold == 5.0


def test_only_clients_whose_name_says_nothing_teach_and_each_session_for_itself() -> None:
    sessions = Sessions()
    assert sessions.of("s", "claude-code") is None
    assert sessions.of(None, "mcp") is None
    mine = sessions.of("s", "mcp")
    assert mine is not None
    assert sessions.of("s", "mcp") is mine
    assert sessions.of("t", "mcp") is not mine
    for number in range(1_000):
        sessions.of(str(number), "mcp")
    assert sessions.of("s", "mcp") is not mine
