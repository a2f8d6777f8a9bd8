"""One server for one host, on this process's own stdin and stdout."""

from runapi_mcp.server import build_server, opened
from runapi_mcp.settings import Settings
from runapi_mcp.transports.stdio import serve_stdio


async def serve_local(settings: Settings) -> None:
    """Serve the host that started this process until it goes."""
    async with opened(settings) as app:
        await serve_stdio(build_server(app))
