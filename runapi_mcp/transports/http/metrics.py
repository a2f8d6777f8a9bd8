"""Numbers for Prometheus, and what a supervisor asks: whether the process lives, and takes calls."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from runapi_mcp import __version__
from runapi_mcp.models import is_version_of
from runapi_mcp.server.boundary import RECEIPT
from runapi_mcp.tools import TOOLS
from runapi_mcp.transports.http.shutdown import Shutdown

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_SECONDS: Final = (0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
_OTHER: Final = "other"


def metrics_of(shutdown: Shutdown) -> "Metrics | None":
    """Return the metrics of one server; `None` where the extra is not installed."""
    try:
        from prometheus_client import CollectorRegistry
    except ImportError:
        return None
    return Metrics(CollectorRegistry(), shutdown)


class Metrics:
    """Counts tool calls."""

    def __init__(self, registry: "CollectorRegistry", shutdown: Shutdown) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        self._registry = registry
        self._calls = Counter(
            "runapi_mcp_calls", "Tool calls that ended.", ["tool", "outcome"], registry=registry
        )
        self._seconds = Histogram(
            "runapi_mcp_call_seconds", "How long calls took.", ["tool"], buckets=_SECONDS, registry=registry
        )
        self._swaps = Counter(
            "runapi_mcp_model_swaps",
            "Answers that came of another model than the one that was asked, by RunAPI's own word.",
            registry=registry,
        )
        in_flight = Gauge("runapi_mcp_calls_in_flight", "Tool calls in progress.", registry=registry)
        in_flight.set_function(lambda: shutdown.calls)
        ready = Gauge("runapi_mcp_ready", "1 until the server is on its way out.", registry=registry)
        ready.set_function(lambda: not shutdown.begun)

    @property
    def media_type(self) -> str:
        """What :meth:`text` is."""
        from prometheus_client import CONTENT_TYPE_LATEST

        return CONTENT_TYPE_LATEST

    def text(self) -> bytes:
        """Return the numbers as Prometheus reads them."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)

    async def count(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Count a tool call by how it ended; a middleware of the MCP server."""
        if ctx.method != "tools/call":
            return await call_next(ctx)
        began, outcome = time.monotonic(), "refused"
        try:
            result = await call_next(ctx)
            outcome = _outcome(result)
            if _was_swapped(result):
                self._swaps.inc()
            return result
        except anyio.get_cancelled_exc_class():
            outcome = "cancelled"
            raise
        finally:
            tool = _tool(ctx.params)
            self._calls.labels(tool, outcome).inc()
            self._seconds.labels(tool).observe(time.monotonic() - began)


def _tool(params: Mapping[str, Any] | None) -> str:
    """Return a tool's name, if it is one of ours: strangers do not get to make up labels."""
    name = (params or {}).get("name")
    return name if isinstance(name, str) and name in TOOLS else _OTHER


def _was_swapped(result: HandlerResult) -> bool:
    """Whether a result is of a whole answer that another model gave than the one that was asked."""
    meta = result.get("_meta") if isinstance(result, dict) else None
    match (meta or {}).get(RECEIPT):
        case {"complete": True, "model_asked": str(asked), "model_served": str(served)}:
            return not is_version_of(served, asked)
        case _:
            return False


def _outcome(result: HandlerResult) -> str:
    match result:
        case {"isError": True}:
            return "error"
        case {"resultType": "task"}:
            return "task"
        case _:
            return "answered"


def probe_routes(shutdown: Shutdown, metrics: Metrics | None) -> list[BaseRoute]:
    """Return the probes.

    ``/healthz`` says that the process lives, ``/readyz`` is 503 once it is on its way out, and
    ``/metrics`` is Prometheus text, or 404 where that is not installed.
    """

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": __version__})

    async def readiness(_request: Request) -> Response:
        status = "leaving" if shutdown.begun else "ready"
        return JSONResponse({"status": status, "calls": shutdown.calls}, 503 if shutdown.begun else 200)

    async def numbers(_request: Request) -> Response:
        if metrics is None:
            return PlainTextResponse("Metrics need the extra runapi-mcp[metrics].\n", 404)
        return Response(metrics.text(), media_type=metrics.media_type)

    return [Route("/healthz", health), Route("/readyz", readiness), Route("/metrics", numbers)]
