"""Spans and metrics by the GenAI conventions, seen through the SDK's in-memory exporters."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags
from server.hosting import in_process
from waiting import became

from runapi_mcp.sim import Simulator
from runapi_mcp.telemetry import trace_header

QUESTION = "What does the canary sing?"
REMOTE = SpanContext(0xABCDEF0123456789ABCDEF0123456789, 0x1122334455667788, True, TraceFlags(1))


@dataclass
class Seen:
    """What the exporters were given."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    def spans(self, kind: SpanKind) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.kind == kind]

    async def generation(self) -> ReadableSpan:
        [found] = await self.generations(1)
        return found

    async def generations(self, number: int) -> list[ReadableSpan]:
        """The spans of so many generations; they end a moment after their answers are out."""

        def found() -> list[ReadableSpan]:
            return [s for s in self.spans(SpanKind.CLIENT) if "gen_ai.provider.name" in attributes(s)]

        await became(lambda: len(found()) >= number)
        return found()

    def tool(self) -> ReadableSpan:
        [found] = [s for s in self.spans(SpanKind.SERVER) if "gen_ai.tool.name" in attributes(s)]
        return found

    def points(self, name: str) -> list[HistogramDataPoint]:
        measured = self.reader.get_metrics_data()
        assert measured is not None
        return [
            point
            for resource in measured.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
            if isinstance(point, HistogramDataPoint)
        ]


@pytest.fixture(scope="module")
def providers() -> Iterator[Seen]:
    """The process's providers: they can be set once, so all tests here share them."""
    seen = Seen(InMemorySpanExporter(), InMemoryMetricReader())
    tracing = TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(seen.exporter))
    trace.set_tracer_provider(tracing)
    metrics.set_meter_provider(MeterProvider([seen.reader]))
    yield seen
    tracing.shutdown()


@pytest.fixture
def seen(providers: Seen) -> Seen:
    providers.exporter.clear()
    return providers


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def about(point: HistogramDataPoint) -> dict[str, Any]:
    return dict(point.attributes or {})


async def test_a_generation_is_a_span_below_its_tool_call(seen: Seen, sim: Simulator) -> None:
    async with in_process(sim.base_url) as host:
        called = await host.call("ask_gemini", prompt=QUESTION, model="gemini-2.5-flash")
    span, tool = await seen.generation(), seen.tool()
    assert span.name == "chat gemini-2.5-flash"
    assert tool.name == "tools/call ask_gemini"
    assert tool.context is not None
    assert span.parent is not None
    assert span.parent.span_id == tool.context.span_id
    said = attributes(span)
    tokens = called.receipt["tokens"]
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.provider.name"] == "gcp.gemini"
    assert said["gen_ai.request.model"] == "gemini-2.5-flash"
    assert said["gen_ai.request.stream"] is True
    assert said["gen_ai.response.model"] == called.receipt["model"]
    assert said["gen_ai.response.finish_reasons"] == ("stop",)
    assert said["gen_ai.usage.input_tokens"] == tokens["input"]
    assert said["gen_ai.usage.output_tokens"] == tokens["output"] + (tokens["thinking"] or 0)
    assert 0 < said["gen_ai.response.time_to_first_chunk"] < called.seconds
    assert said["server.address"] == "127.0.0.1"
    assert said["server.port"] == int(sim.base_url.rpartition(":")[2])
    assert span.status.status_code == StatusCode.UNSET


async def test_the_callers_trace_goes_on_to_runapi_without_baggage(seen: Seen, sim: Simulator) -> None:
    async with in_process(sim.base_url) as host:
        with trace.use_span(NonRecordingSpan(REMOTE)):
            await host.call("ask_gemini", prompt=QUESTION)
    span = await seen.generation()
    assert span.context is not None
    assert span.context.trace_id == REMOTE.trace_id
    headers = sim.calls[0].headers
    assert headers["traceparent"] == f"00-{REMOTE.trace_id:032x}-{span.context.span_id:016x}-01"
    assert not {"baggage", "tracestate"} & headers.keys()


async def test_nothing_that_was_asked_or_answered_is_in_a_span(seen: Seen, sim: Simulator) -> None:
    async with in_process(sim.base_url) as host:
        called = await host.call("ask_gemini", prompt=QUESTION, system="A secret system prompt")
        failed = await host.call("ask_gemini", prompt="Cut [[sim:cut-clean]] canary")
    assert failed.text
    await seen.generations(2)
    exported = " ".join(span.to_json() for span in seen.exporter.get_finished_spans())
    for content in ("canary", "secret system", called.text[:40]):
        assert content not in exported


async def test_a_cut_generation_names_the_kind_of_its_error(seen: Seen, sim: Simulator) -> None:
    async with in_process(sim.base_url) as host:
        await host.call("ask_gemini", prompt="Cut [[sim:cut-clean]]")
    span = await seen.generation()
    assert attributes(span)["error.type"] == "cut"
    assert attributes(span)["runapi.status"] == "partial"
    assert span.status.status_code == StatusCode.ERROR
    assert not span.status.description
    assert not span.events


async def test_a_cancelled_generation_is_no_error_of_upstreams(seen: Seen, sim: Simulator) -> None:
    async with in_process(sim.base_url) as host:
        running = await host.call("ask_gemini", prompt="Stop [[sim:slow seconds=30]]", wait_seconds=0.5)
        await host.call("get_result", handle=running.handle, cancel=True)
    span = await seen.generation()
    assert attributes(span)["runapi.status"] == "cancelled"
    assert span.status.status_code == StatusCode.UNSET


async def test_tokens_and_durations_are_measured(seen: Seen, sim: Simulator) -> None:
    async with in_process(sim.base_url) as host:
        called = await host.call("ask_gemini", prompt=QUESTION, model="gemini-2.5-pro")
    await seen.generation()
    pro = [p for p in seen.points("gen_ai.client.operation.duration") if of(p, "gemini-2.5-pro")]
    assert [point.count for point in pro] == [1]
    assert 0 < pro[0].sum < 10
    used = {
        about(point)["gen_ai.token.type"]: point.sum
        for point in seen.points("gen_ai.client.token.usage")
        if of(point, "gemini-2.5-pro")
    }
    tokens = called.receipt["tokens"]
    assert used == {"input": tokens["input"], "output": tokens["output"] + (tokens["thinking"] or 0)}
    first = [p for p in seen.points("gen_ai.client.operation.time_to_first_chunk") if of(p, "gemini-2.5-pro")]
    assert [point.count for point in first] == [1]


def of(point: HistogramDataPoint, model: str) -> bool:
    return bool(about(point)["gen_ai.request.model"] == model)


def test_without_a_trace_there_is_no_header() -> None:
    assert trace_header() == {}


async def test_an_answer_of_another_model_is_counted(sim: Simulator, seen: Seen) -> None:
    sim.roster.swapped["gemini-2.5-flash"] = "gemini-3.5-flash-lite"
    async with in_process(sim.base_url) as host:
        await host.call("ask_gemini", prompt=QUESTION, model="gemini-2.5-flash")
        await seen.generations(1)
    found = seen.reader.get_metrics_data()
    assert found is not None
    named = {
        metric.name: metric.data.data_points
        for resource in found.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    [point] = [
        point
        for point in named["runapi.client.model_swaps"]
        if (point.attributes or {}).get("gen_ai.response.model") == "gemini-3.5-flash-lite"
    ]
    assert point.value == 1  # type: ignore[union-attr]
