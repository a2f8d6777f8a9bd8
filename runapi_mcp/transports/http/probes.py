"""What a supervisor asks: whether the process lives, whether to send it calls, and how much it does."""

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from runapi_mcp import __version__
from runapi_mcp.transports.http.leaving import Leaving
from runapi_mcp.transports.http.metrics import Metrics


def probe_routes(leaving: Leaving, metrics: Metrics | None) -> list[BaseRoute]:
    """Return the probes.

    ``/healthz`` says that the process lives, ``/readyz`` is 503 once it is on its way out, and
    ``/metrics`` is Prometheus text, or 404 where that is not installed.
    """

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": __version__})

    async def readiness(_request: Request) -> Response:
        status = "leaving" if leaving.begun else "ready"
        return JSONResponse({"status": status, "calls": leaving.calls}, 503 if leaving.begun else 200)

    async def numbers(_request: Request) -> Response:
        if metrics is None:
            return PlainTextResponse("Metrics need the extra runapi-mcp[metrics].\n", 404)
        return Response(metrics.text(), media_type=metrics.media_type)

    return [Route("/healthz", health), Route("/readyz", readiness), Route("/metrics", numbers)]
