"""What is asked by machines: numbers for Prometheus, and whether the process lives, and takes calls."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import anyio
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from runapi_mcp import __version__
from runapi_mcp.generations.registry import Generations
from runapi_mcp.generations.values import Job, Receipt
from runapi_mcp.logs import principal
from runapi_mcp.models import find
from runapi_mcp.server.app import App
from runapi_mcp.server.boundary import ERROR, owner_of
from runapi_mcp.telemetry import OTHERS, Names
from runapi_mcp.tools import TOOLS
from runapi_mcp.transports.http.auth import Auth, CallersKeys, FailedLogins
from runapi_mcp.transports.http.shutdown import Shutdown
from runapi_mcp.transports.http.worker import Worker, ask_siblings, is_passed_on

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import CounterMetricFamily
    from prometheus_client.metrics_core import Metric

_SECONDS: Final = (0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
_OTHER: Final = "other"
_ASK_SECONDS: Final = 1.5
"""What the question whether the store answers may take; its own calls take a second at most."""


def metrics_of(shutdown: Shutdown, generations: Generations, failed: FailedLogins) -> "Metrics | None":
    """Return the metrics of one server; `None` where the extra is not installed."""
    try:
        from prometheus_client import CollectorRegistry
    except ImportError:
        return None
    return Metrics(CollectorRegistry(), shutdown, generations, failed)


class Metrics:
    """Counts tool calls and what they cost, each under a name that strangers cannot make up.

    A tool and a model are told apart if they are known here, an error by its code; of principals the
    first hundred are, and who only brought a key that RunAPI never took is not one of them.
    """

    def __init__(
        self,
        registry: "CollectorRegistry",
        shutdown: Shutdown,
        generations: Generations,
        failed: FailedLogins,
    ) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        def counter(name: str, about: str, *labels: str) -> Counter:
            return Counter(f"runapi_mcp_{name}", about, labels, registry=registry)

        self._registry = registry
        self._principals = Names()
        self._calls = counter("calls", "Tool calls that ended.", "tool", "outcome", "principal")
        self._errors = counter("errors", "Tool calls that ended with an error.", "tool", "code")
        self._tokens = counter("tokens", "Tokens, as RunAPI counted them.", "principal", "model", "kind")
        self._searches = counter("searches", "Generations that were to search the web.", "principal")
        self._cost = counter("cost", "What tokens cost, where the price is known.", "principal", "currency")
        self._swaps = counter("model_swaps", "Generations that another model answered than the one asked.")
        self._uncounted = counter("uncounted_generations", "Generations without token counts.", "model")
        self._seconds = Histogram(
            "runapi_mcp_call_seconds", "How long calls took.", ["tool"], buckets=_SECONDS, registry=registry
        )
        in_flight = Gauge("runapi_mcp_calls_in_flight", "Tool calls in progress.", registry=registry)
        in_flight.set_function(lambda: shutdown.calls)
        ready = Gauge("runapi_mcp_ready", "1 until the server is on its way out.", registry=registry)
        ready.set_function(lambda: not shutdown.begun)
        store = Gauge(
            "runapi_mcp_store_up", "1 while the store answers, or if none is set.", registry=registry
        )
        store.set_function(lambda: generations.store_up)
        registry.register(_FailedLogins(failed))
        generations.settled.append(self.settle)

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
        code = ""
        try:
            result = await call_next(ctx)
            outcome, code = _outcome(result), _code(result)
            return result
        except anyio.get_cancelled_exc_class():
            outcome = "cancelled"
            raise
        finally:
            tool = _tool(ctx.params)
            self._calls.labels(tool, outcome, self._name(owner_of(ctx.request))).inc()
            if code:
                self._errors.labels(tool, code).inc()
            self._seconds.labels(tool).observe(time.monotonic() - began)

    def settle(self, job: Job, receipt: Receipt) -> None:
        """Count what a generation came to."""
        if not receipt.requests:
            return  # it was never begun
        if receipt.swapped:
            self._swaps.inc()
        model = receipt.model if find(receipt.model) else _OTHER
        principal = self._name(job.owner, paid=receipt.tokens is not None)
        if job.call.search:
            self._searches.labels(principal).inc()
        if receipt.tokens is None:
            if receipt.status != "failed":  # what is refused costs nothing
                self._uncounted.labels(model).inc()
            return
        if receipt.cost:
            self._cost.labels(principal, receipt.currency or "").inc(receipt.cost)
        for kind, count in asdict(receipt.tokens).items():
            if count:
                self._tokens.labels(principal, model, kind).inc(count)

    def _name(self, owner: str, *, paid: bool = False) -> str:
        """Return the name to count a principal by; a key is nobody's until RunAPI has taken it."""
        name = principal(owner)
        known = paid or name in self._principals or not owner.startswith("key:")
        return self._principals.of(name) if known else OTHERS


class _FailedLogins:
    """Requests that were not let in, as Prometheus collects them."""

    def __init__(self, failed: FailedLogins) -> None:
        self._failed = failed

    def collect(self) -> "Iterator[CounterMetricFamily]":
        """Yield them."""
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(
            "runapi_mcp_failed_logins", "Requests that were not let in.", labels=["reason"]
        )
        for reason, count in self._failed.counts.items():
            family.add_metric([reason], count)
        yield family


def _code(result: HandlerResult) -> str:
    """Return the stable code of an error of ours."""
    match result:
        case {"isError": True, "_meta": {**meta}}:
            return str(meta.get(ERROR, "error"))
        case {"isError": True}:
            return "error"
        case _:
            return ""


def _tool(params: Mapping[str, Any] | None) -> str:
    """Return a tool's name, if it is one of ours: strangers do not get to make up labels."""
    name = (params or {}).get("name")
    return name if isinstance(name, str) and name in TOOLS else _OTHER


def _outcome(result: HandlerResult) -> str:
    match result:
        case {"isError": True}:
            return "error"
        case {"resultType": "task"}:
            return "task"
        case {"resultType": "input_required"}:
            return "asked"
        case _:
            return "answered"


# ---------------------------------------------------------------- the probes


class Readiness:
    """What the server is to have, and has not.

    Args:
        app: What the process shares.
        auth: Who may call; where each brings a key, the server needs none.
        grace: For how many seconds something may be missing before it counts.
    """

    def __init__(self, app: App, auth: Auth | None, grace: float) -> None:
        self._app = app
        self._needs_key = not isinstance(auth, CallersKeys)
        self._grace = grace
        self._began = anyio.current_time()

    async def missing(self, grace: float = 0.0) -> list[str]:
        """Return what has been missing for longer than `grace` seconds, a few words each."""
        found: list[str] = []
        settings = self._app.settings
        up_for = anyio.current_time() - self._began
        if self._needs_key and settings.key is None and not settings.key_is_in_keyring and up_for >= grace:
            found.append(f"the RunAPI key ({settings.key_problem or 'set RUNAPI_TOKEN'})".replace(".)", ")"))
        away = 0.0
        with anyio.move_on_after(_ASK_SECONDS):
            away = await self._app.generations.store_away()
        if away > 0 and away >= grace:
            found.append("the store, which does not answer")
        return found

    async def reason(self) -> str:
        """Return why it is not ready, in a sentence; "" if it is."""
        missing = await self.missing(self._grace)
        return f"Missing: {'; '.join(missing)}." if missing else ""


def probe_routes(
    shutdown: Shutdown, readiness: Readiness, metrics: Metrics | None, worker: Worker | None
) -> list[BaseRoute]:
    """Return the probes.

    ``/healthz`` says that the process lives, ``/readyz`` is 503 once it is on its way out or lacks for long
    what it is to have, and ``/metrics`` is Prometheus text, or 404 where that is not installed. The worker
    that is asked answers for all.
    """

    async def ask_others(request: Request) -> dict[int, bytes]:
        alone = worker is None or is_passed_on(request.scope)
        return {} if alone or worker is None else await ask_siblings(worker, request.url.path)

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": __version__})

    async def ready(request: Request) -> Response:
        facts: dict[str, Any] = {"status": "leaving" if shutdown.begun else "ready"}
        if not shutdown.begun and (reason := await readiness.reason()):
            facts = {"status": "not ready", "reason": reason}
        calls = shutdown.calls
        for answer in (await ask_others(request)).values():
            theirs = json.loads(answer)
            calls += theirs.pop("calls")
            facts = theirs if facts["status"] == "ready" else facts
        return JSONResponse({**facts, "calls": calls}, 200 if facts["status"] == "ready" else 503)

    async def numbers(request: Request) -> Response:
        if metrics is None:
            return PlainTextResponse("Metrics need the extra runapi-mcp[metrics].\n", 404)
        text, others = metrics.text(), await ask_others(request)
        if worker is not None and not is_passed_on(request.scope):
            text = merge_texts({worker.number: text, **others})
        return Response(text, media_type=metrics.media_type)

    return [Route("/healthz", health), Route("/readyz", ready), Route("/metrics", numbers)]


def merge_texts(texts: Mapping[int, bytes]) -> bytes:
    """Return the numbers of several workers as one text, each with its worker's.

    Not their sum: a worker that dies begins at nothing again, and of a sum that falls Prometheus takes
    all that is left for new.
    """
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.metrics_core import Metric
    from prometheus_client.parser import text_string_to_metric_families

    families: dict[str, Metric] = {}
    for number, text in sorted(texts.items()):
        for family in text_string_to_metric_families(text.decode()):
            merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            merged.samples += [
                sample._replace(labels={**sample.labels, "worker": str(number)}) for sample in family.samples
            ]
    registry = CollectorRegistry()
    registry.register(_Merged(families.values()))
    return generate_latest(registry)


class _Merged:
    """Families of numbers, as Prometheus collects them."""

    def __init__(self, families: "Iterable[Metric]") -> None:
        self._families = families

    def collect(self) -> "Iterable[Metric]":
        """Return them."""
        return self._families
