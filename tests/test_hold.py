"""How long a host is kept waiting, and how much it is given at once: by the table, or as it was set."""

import pytest

from runapi_mcp.host_limits import HOSTS, UNKNOWN_HOLD, hold_seconds, page_chars, patience_of


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
        ("openai-agents-python", 4, 4),
    ],
)
def test_a_host_is_kept_waiting_as_long_as_it_is_known_to_wait(
    host: str | None, with_progress: float, without: float
) -> None:
    assert hold_seconds("auto", host, wants_progress=True) == with_progress
    assert hold_seconds("auto", host, wants_progress=False) == without


@pytest.mark.parametrize("host", [None, "claude-code", "openai-agents"])
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
