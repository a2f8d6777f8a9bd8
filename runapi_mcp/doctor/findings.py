"""A finding: what one check saw, whose move it is, and what mends it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal, TypeAlias

from runapi_mcp.wire.types import JsonObject

Status: TypeAlias = Literal["ok", "warn", "fail", "skipped"]
Move: TypeAlias = Literal["", "yours", "your network's", "RunAPI's", "the host's"]

_MARKS: Final[Mapping[Status, str]] = {"ok": "✓", "warn": "!", "fail": "✗", "skipped": "–"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw.

    Attributes:
        check: Which check; stable, for programs.
        status: `fail` is what keeps the server from working, `warn` what may.
        what: What was seen, in a sentence.
        move: Whose move it is.
        mend: What mends it, in a sentence.
        host: The host it is about, if it is about one.
    """

    check: str
    status: Status
    what: str
    move: Move = ""
    mend: str = ""
    host: str = ""


def ok(check: str, what: str, *, host: str = "") -> Finding:
    """Return a finding that all is well."""
    return Finding(check, "ok", what, host=host)


def line(finding: Finding) -> str:
    """Return a finding as people read it: one line, and one more for what mends it."""
    name = f"{finding.check} ({finding.host})" if finding.host else finding.check
    said = f"{_MARKS[finding.status]} {name}: {finding.what}"
    if not finding.mend:
        return said
    whose = f"({finding.move} to fix) " if finding.move not in ("", "yours") else ""
    return f"{said}\n    → {whose}{finding.mend}"


def verdict(findings: Iterable[Finding]) -> str:
    """Return the last line: how many of each."""
    statuses = [finding.status for finding in findings]
    broken, doubtful = statuses.count("fail"), statuses.count("warn")
    if not broken and not doubtful:
        return "Nothing is wrong."
    if not broken:
        return f"Nothing keeps the server from working; {doubtful} to look at."
    return f"{broken} to fix, {doubtful} to look at."


def merge_hosts(findings: Iterable[Finding], titles: Mapping[str, str]) -> list[Finding]:
    """Return findings of which those that say the same of several hosts are one.

    Args:
        findings: What was found.
        titles: What people call each host.
    """
    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        alike.setdefault((finding.check, finding.status, _of_any(finding.what, finding, titles)), []).append(
            finding
        )
    return [_merged(group, what, titles) for (_, _, what), group in alike.items()]


def _merged(group: list[Finding], what: str, titles: Mapping[str, str]) -> Finding:
    first = group[0]
    if len(group) == 1:
        return first
    mends = dict.fromkeys(_of_any(finding.mend, finding, titles) for finding in group)
    return replace(first, what=what, mend=" ".join(mends), host=", ".join(finding.host for finding in group))


def _of_any(text: str, finding: Finding, titles: Mapping[str, str]) -> str:
    """Return a sentence about a host as one about any."""
    text = text.replace(f"install {finding.host}", "install HOST")
    return text.replace(titles.get(finding.host) or finding.host or "\0", "the host")


def as_json(findings: Iterable[Finding]) -> JsonObject:
    """Return findings for programs."""
    found = list(findings)
    healthy = not any(finding.status == "fail" for finding in found)
    return {"ok": healthy, "findings": [{k: v for k, v in asdict(f).items() if v} for f in found]}
