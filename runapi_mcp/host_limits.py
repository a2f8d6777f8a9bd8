"""How long each host can be kept waiting, and how much it takes in one result.

A host names itself in ``clientInfo.name``. The rows come from watching real hosts, or from their
documents and trackers; each holds its reason. The window ends well before the host's own limit,
so that a result, or a handle to it, arrives first.
"""

from dataclasses import dataclass
from typing import Final

from runapi_mcp.settings import Hold

UNKNOWN_HOLD: Final = 50.0
"""Seconds for a host that is not in the table: most SDKs give a request 60 s."""


@dataclass(frozen=True, slots=True)
class Patience:
    """What is known of one host.

    Attributes:
        name: A part of its `clientInfo.name`, in lower case.
        hold: Seconds it can be kept waiting when it asked for progress.
        silent_hold: The same when it did not.
        max_chars: Characters it takes in one result before it cuts; `None` if not known to cut.
        reason: Why.
    """

    name: str
    hold: float
    silent_hold: float
    max_chars: int | None
    reason: str


HOSTS: Final[tuple[Patience, ...]] = (
    Patience("claude-code", 600, 110, None, "no limit seen in 400 s; without progress 120 s moves it aside"),
    Patience("claude-ai", 50, 50, None, "Claude Desktop: 240 s, in some builds 60 s; progress does not help"),
    Patience(
        "codex", 240, 240, 11_000, "300 s, progress does not extend it; cuts past about 12,000 characters"
    ),
    Patience("gemini-cli", 540, 540, 36_000, "600 s; keeps the first 8,000 and the last 32,000 characters"),
    Patience("opencode", 540, 50, None, "60 s that each progress notification starts anew"),
    Patience("visual studio code", 540, 50, None, "no limit found; shows progress"),
    Patience("zed", 50, 50, None, "60 s, progress does not extend it"),
    Patience("cline", 50, 50, None, "60 s, progress does not extend it"),
    Patience("goose", 270, 270, None, "300 s"),
    Patience("inspector", 50, 50, None, "60 s, sends no progress token"),
    Patience("cursor", 50, 50, None, "one report of 5 minutes, older ones of 60 s"),
    Patience("openai-agents", 4, 4, None, "5 s by default, and nothing is sent when they are over"),
)


def patience_of(host: str | None) -> Patience | None:
    """Return the row for a host by its `clientInfo.name`, or `None`."""
    name = (host or "").lower()
    return next((row for row in HOSTS if row.name in name), None)


def hold_seconds(setting: Hold, host: str | None, *, wants_progress: bool) -> float:
    """Return the seconds a call from `host` may take: the setting, or what the table says."""
    if setting != "auto":
        return float(setting)
    row = patience_of(host)
    if row is None:
        return UNKNOWN_HOLD
    return row.hold if wants_progress else row.silent_hold


def page_chars(setting: int, host: str | None) -> int:
    """Return the characters of one result page for `host`, never more than the setting."""
    row = patience_of(host)
    return min(setting, row.max_chars) if row and row.max_chars else setting
