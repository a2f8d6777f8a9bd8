"""The folders that a host of the handshake era declares as its roots.

Roots left the protocol with 2026-07-28, where a server cannot ask its host for anything; before
that a host may declare them and is asked when a call names a local file. Only the host on this
machine is: over the network its paths are another machine's.
"""

from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

_SECONDS: Final = 2.0
_MOST: Final = 50


async def host_roots(ctx: ServerRequestContext[Any, Any]) -> tuple[str, ...]:
    """Return the host's roots as paths; none if it declares none, or does not say within two seconds."""
    capabilities = ctx.session.client_capabilities
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS or not capabilities or capabilities.roots is None:
        return ()
    try:
        with anyio.fail_after(_SECONDS):
            listed = await ctx.session.send_request(types.ListRootsRequest(), types.ListRootsResult)
    except (MCPError, TimeoutError):
        return ()
    folders = (_folder(str(root.uri)) for root in listed.roots[:_MOST])
    return tuple(folder for folder in folders if folder)


def _folder(uri: str) -> str:
    """Return the folder that a root names; nothing for another machine's, or for a whole file system."""
    url = urlsplit(uri)
    path = Path(unquote(url.path))
    local = url.scheme == "file" and url.netloc in ("", "localhost") and path.is_absolute()
    return str(path) if local and path.resolve() != Path(path.anchor) else ""
