"""The folders that a host of the handshake era declares as its roots.

Roots left the protocol with 2026-07-28, where a server cannot ask its host for anything; before
that a host may declare them and is asked when a call names a local file. Only a host over stdio is,
which started this process and so can read what it can: over the network, whoever reaches the server
could declare any folder of this machine.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import anyio
import anyio.to_thread
import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from runapi_mcp import logs
from runapi_mcp.server.caller import Context

_SECONDS: Final = 2.0
_MOST: Final = 50


async def host_roots(ctx: Context) -> tuple[str, ...]:
    """Return the host's roots as paths.

    None if it declares none. None either if its answer is an error, is not what the protocol asks for,
    or does not come within two seconds; that is the host's failing and goes to the log, for the caller
    of a tool cannot mend it.
    """
    capabilities = ctx.session.client_capabilities
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS or not capabilities or capabilities.roots is None:
        return ()
    try:
        with anyio.fail_after(_SECONDS):
            listed = await ctx.session.send_request(types.ListRootsRequest(), types.ListRootsResult)
            uris = [str(root.uri) for root in listed.roots[:_MOST]]
            return await anyio.to_thread.run_sync(_folders, uris, abandon_on_cancel=True)
    except (MCPError, ValidationError, TimeoutError) as error:
        logs.info("roots unknown", error=type(error).__name__)
        return ()


def _folders(uris: Iterable[str]) -> tuple[str, ...]:
    """Return the folders that roots name; looks at the disk, which may take its time."""
    return tuple(folder for uri in uris if (folder := _folder(uri)))


def _folder(uri: str) -> str:
    """Return the folder that a root names; nothing for another machine's, or for a whole file system."""
    try:
        url = urlsplit(uri)
        path = Path(unquote(url.path))
        if url.scheme != "file" or url.netloc not in ("", "localhost") or not path.is_absolute():
            return ""
        folder = path.resolve()
    except (OSError, RuntimeError, ValueError):
        return ""  # no path of this machine's
    return "" if folder == Path(folder.anchor) else str(folder)
