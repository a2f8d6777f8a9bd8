"""Spans and metrics by OpenTelemetry's GenAI conventions (semantic conventions 1.41), never with content.

The API alone is used: without a provider installed in the process, all of this does nothing. The
span of a tool call is the MCP SDK's own; that of a generation is a child of it, and may outlive it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from opentelemetry import metrics, trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from runapi_mcp import __version__
from runapi_mcp.errors import RunapiError
from runapi_mcp.wire.types import Call, DialectName, Usage

_PROVIDER: Final = "gcp.gemini"
_OPERATIONS: Final[Mapping[DialectName, str]] = {"native": "generate_content"}
"""What OpenTelemetry calls a dialect's operation, where it is not a chat."""
_PORTS: Final = {"http": 80, "https": 443}
Attributes = dict[str, str | bool | int | float | list[str]]

_tracer = trace.get_tracer("runapi-mcp", __version__)
_meter = metrics.get_meter("runapi-mcp", __version__)
_traceparent = TraceContextTextMapPropagator()

_SECONDS: Final = [0.01 * 2**step for step in range(17)]
_duration = _meter.create_histogram(
    "gen_ai.client.operation.duration",
    "s",
    "How long generations took.",
    explicit_bucket_boundaries_advisory=_SECONDS,
)
_first_chunk = _meter.create_histogram(
    "gen_ai.client.operation.time_to_first_chunk",
    "s",
    "How long the first piece of an answer, or of its thoughts, took to come.",
    explicit_bucket_boundaries_advisory=_SECONDS,
)
_tokens = _meter.create_histogram(
    "gen_ai.client.token.usage",
    "{token}",
    "Tokens of generations, as RunAPI counted them.",
    explicit_bucket_boundaries_advisory=[4**step for step in range(14)],
)

_swaps = _meter.create_counter(
    "runapi.client.model_swaps",
    "{generation}",
    "Generations that another model answered than the one that was asked, by RunAPI's own word.",
)


MOST_PRINCIPALS: Final = 100
"""Principals that metrics tell apart; the rest are one, so that nobody can make up any number of series."""
OTHERS: Final = "others"


class Names:
    """The first so many names that come; what comes later is counted together."""

    def __init__(self, most: int = MOST_PRINCIPALS) -> None:
        self._most = most
        self._known: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def of(self, name: str) -> str:
        """Return a name under which something can be counted."""
        if name not in self._known:
            if len(self._known) >= self._most:
                return OTHERS
            self._known.add(name)
        return name


_principals, _models = Names(), Names()


def note_call(principal: str, outcome: Mapping[str, object]) -> None:
    """Have the span of a tool call say whose it is and what came of it."""
    span = trace.get_current_span()
    if not span.is_recording():
        return
    span.set_attribute("enduser.id", principal)
    for name, value in outcome.items():
        if isinstance(value, str | int | float):
            span.set_attribute(f"runapi.{name}", value)


class Operation:
    """One generation while it runs: tell it what became of it."""

    def __init__(self, span: Span, asked: Attributes, principal: str) -> None:
        self._span = span
        self._asked = asked
        self._principal = principal

    def end(
        self,
        *,
        status: str,
        asked: str,
        model: str | None,
        swapped: bool,
        finish: str | None,
        tokens: Usage | None,
        seconds: float,
        first_chunk: float | None,
        error: RunapiError | None,
    ) -> None:
        """Record how it went.

        Args:
            status: How it stands.
            asked: Which model was asked in the end.
            model: Which model answered, if RunAPI said.
            swapped: Whether that is another.
            finish: Why the model stopped, if it did.
            tokens: What all its rounds cost.
            seconds: How long it took.
            first_chunk: Seconds until the first event of the stream came, if one did.
            error: What ended it, if something did; only its kind is recorded.
        """
        about = self._asked | {"gen_ai.request.model": asked}
        if model:
            about["gen_ai.response.model"] = model
        if error is not None or status == "cancelled":
            about["error.type"] = error.code if error is not None else "cancelled"
        span, counted = self._span, about
        about = about | {
            "enduser.id": _principals.of(self._principal),
            "gen_ai.request.model": _models.of(str(about["gen_ai.request.model"])),
        }
        _duration.record(seconds, about)
        if first_chunk is not None:
            _first_chunk.record(first_chunk, about)
        if swapped:
            _swaps.add(1, about)
        used = tokens or Usage()
        for kind, count in (("input", used.input), ("output", _count_written(used))):
            if count is not None:
                _tokens.record(count, about | {"gen_ai.token.type": kind})
        if not span.is_recording():
            return
        span.set_attributes(counted)
        span.set_attribute("runapi.status", status)
        if finish is not None:
            span.set_attribute("gen_ai.response.finish_reasons", [finish])
        if first_chunk is not None:
            span.set_attribute("gen_ai.response.time_to_first_chunk", first_chunk)
        for name, count in _counts(tokens):
            span.set_attribute(f"gen_ai.usage.{name}", count)
        if "error.type" in counted and status != "cancelled":
            span.set_status(StatusCode.ERROR)


@contextmanager
def operation(
    call: Call, dialect: DialectName, base_url: str, *, tool: str, principal: str
) -> Iterator[Operation]:
    """Make a generation an operation, and its span the current one, for as long as the block lasts."""
    asked: Attributes = {
        "gen_ai.operation.name": _OPERATIONS.get(dialect, "chat"),
        "gen_ai.provider.name": _PROVIDER,
        "gen_ai.request.model": call.model,
        "gen_ai.tool.name": tool,
        **_server(base_url),
    }
    with _tracer.start_as_current_span(
        f"{_OPERATIONS.get(dialect, 'chat')} {call.model}",
        kind=SpanKind.CLIENT,
        attributes=asked | {"enduser.id": principal} | _request(call),
        # An exception's text may quote the answer.
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield Operation(span, asked, principal)


def trace_header() -> dict[str, str]:
    """Return the header that lets upstream join the current trace; empty if there is none. No baggage."""
    carrier: dict[str, str] = {}
    _traceparent.inject(carrier)
    return {"traceparent": carrier["traceparent"]} if "traceparent" in carrier else {}


def _request(call: Call) -> Attributes:
    given: Attributes = {
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "json" if call.schema is not None else "text",
    }
    if call.max_output_tokens is not None:
        given["gen_ai.request.max_tokens"] = call.max_output_tokens
    if call.temperature is not None:
        given["gen_ai.request.temperature"] = call.temperature
    if call.seed is not None:
        given["gen_ai.request.seed"] = call.seed
    return given


def _server(base_url: str) -> Attributes:
    url = urlsplit(base_url)
    return {"server.address": url.hostname or "", "server.port": url.port or _PORTS.get(url.scheme, 443)}


def _counts(tokens: Usage | None) -> Iterator[tuple[str, int]]:
    if tokens is None:
        return
    named = (
        ("input_tokens", tokens.input),
        ("output_tokens", _count_written(tokens)),
        ("reasoning.output_tokens", tokens.thinking),
        ("cache_read.input_tokens", tokens.cached),
    )
    yield from ((name, count) for name, count in named if count is not None)


def _count_written(tokens: Usage) -> int | None:
    """Return the output as the conventions count it: with the thinking."""
    return tokens.output if tokens.output is None else tokens.output + (tokens.thinking or 0)
