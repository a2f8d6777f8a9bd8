"""Generations in the log: one line for each at its end, and its phases for those who debug."""

from dataclasses import asdict

from runapi_mcp import logs
from runapi_mcp.generations.values import View
from runapi_mcp.upstream import Trace


def log_phase(handle: str, trace: Trace, ahead: int | None) -> None:
    """Log where a generation stands now."""
    logs.debug(
        "phase",
        generation=logs.shortened(handle),
        phase="queued" if ahead is not None else trace.phase,
        ahead=ahead,
        requests=trace.requests,
        client_request_id=trace.request_id,
        bytes=trace.received,
    )


def log_end(view: View) -> None:
    """Log what a generation came to and what it cost; and its answer, if that is asked for."""
    facts = asdict(view.receipt)
    tokens = facts.pop("tokens") or {}
    logs.info(
        "generation",
        generation=logs.shortened(view.handle),
        tool=view.job.tool,
        error=view.error.code if view.error else None,
        **facts,
        **{f"tokens_{name}": count for name, count in tokens.items()},
    )
    logs.content("answer", generation=logs.shortened(view.handle), answer=view.answer.text)
