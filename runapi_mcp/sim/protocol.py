"""uvicorn's HTTP/1.1 protocol with the connection made reachable, for scenarios that drop it."""

import asyncio
from typing import Any

import uvicorn
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

_PLACE = "simulated_connection"


class DroppableProtocol(H11Protocol):
    """Puts itself into the state of every request on its connection."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # uvicorn's own annotation
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, _PLACE: self}, _loop)
        self.access_log = False


def connection(scope: Scope) -> asyncio.Transport:
    """The transport a request came in on."""
    protocol: DroppableProtocol = scope["state"][_PLACE]
    return protocol.transport
