"""What a generation cost and how it went: for its caller, and for who measures."""

from runapi_mcp.generations.ended import Ended
from runapi_mcp.generations.rounds import Rounds
from runapi_mcp.generations.values import Job, Receipt, Status
from runapi_mcp.telemetry import Outcome
from runapi_mcp.upstream import Trace


def receipt_of(
    job: Job, status: Status, rounds: Rounds, trace: Trace, *, began: float, until: float
) -> Receipt:
    """Return the receipt of a generation that began at `began` and has gone on until `until`."""
    answer, first = rounds.fold.partial(), trace.first_byte_at
    finish = answer.finish
    return Receipt(
        model=answer.model or job.call.model,
        dialect=job.dialect,
        status=status,
        complete=status == "complete",
        finish_reason=finish.reason if finish else None,
        finish_reason_raw=finish.raw[:60] if finish else None,
        tokens=rounds.tokens,
        seconds_to_first_byte=None if first is None else round(first - began, 3),
        seconds=round(until - began, 3),
        seconds_waited=round(trace.waited, 3),
        requests=trace.requests,
        rounds=rounds.number,
        client_request_id=trace.request_id,
    )


def outcome_of(end: Ended, rounds: Rounds, seconds: float, first_chunk: float | None) -> Outcome:
    """Return what became of a generation whose turn took `seconds`; see :class:`Outcome`."""
    error = end.crash or end.error
    return Outcome(end.status, rounds.fold.partial(), rounds.tokens, seconds, first_chunk, error)
