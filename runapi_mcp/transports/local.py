"""One server for one host, on this process's own stdin and stdout."""

from collections.abc import Collection, Iterable
from typing import Protocol

from runapi_mcp.own_key import OwnKey
from runapi_mcp.server import build_server, opened
from runapi_mcp.settings import Settings
from runapi_mcp.transports.pipes import claim_stdio
from runapi_mcp.transports.stdio import serve_chunks, serve_stdio


class Opening(Protocol):
    """Something that has read from the host already, and may have answered."""

    def take_over(self) -> tuple[Iterable[bytes], Collection[str | int]]:
        """Return the host's bytes from its first, and the ids of the requests answered among them."""


async def serve_local(
    settings: Settings, opening: Opening | None = None, own_key: OwnKey | None = None
) -> None:
    """Serve the host that started this process until it goes.

    Args:
        settings: What can be set.
        opening: Where to go on.
        own_key: Finds the key, if a keyring has it.
    """
    async with opened(settings, own_key=own_key) as app:
        server = build_server(app)
        if opening is None:
            await serve_stdio(server)
        else:
            chunks, answered = opening.take_over()
            wire = claim_stdio()
            await serve_chunks(server, chunks, wire.stdout_fd, stdin_fd=wire.stdin_fd, answered=answered)
