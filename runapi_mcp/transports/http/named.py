"""The Host and Origin checks, in front of everything but the probes.

They keep web pages of other sites, and names that were pointed here, from calling a server that
trusts this machine (DNS rebinding).
"""

from typing import Final

from mcp.server.transport_security import TransportSecurityMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from runapi_mcp.transports.http.options import HttpOptions

PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that are asked by address, and that tell nothing about anyone."""


class NamedRight:
    """Lets a request through whose Host (else 421) and Origin (else 403) are allowed."""

    def __init__(self, app: ASGIApp, options: HttpOptions) -> None:
        self._app = app
        self._check = TransportSecurityMiddleware(options.security)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on or refuse it, before its body is read."""
        if scope["type"] == "http" and scope["path"] not in PROBES:
            refusal = await self._check.validate_request(Request(scope), is_post=False)
            if refusal is not None:
                return await refusal(scope, receive, send)
        return await self._app(scope, receive, send)
