"""One server for one host, on this process's own stdin and stdout."""

from collections.abc import Collection, Iterable
from typing import Protocol

from runapi_mcp.server import build_server, opened
from runapi_mcp.settings import Settings
from runapi_mcp.transports.pipes import claim_stdio
from runapi_mcp.transports.stdio import serve_chunks, serve_stdio


class Opening(Protocol):
    """Something that has read from the host already, and may have answered."""

    def take_over(self) -> tuple[Iterable[bytes], Collection[str | int]]:
        """Return the host's bytes from its first, and the ids of the requests answered among them."""


async def serve_local(settings: Settings, opening: Opening | None = None) -> None:
    """Serve the host that started this process until it goes; go on where `opening` stops."""
    async with opened(settings) as app:
        server = build_server(app)
        if opening is None:
            await serve_stdio(server)
        else:
            chunks, answered = opening.take_over()
            await serve_chunks(server, chunks, claim_stdio().stdout_fd, answered=answered)
