"""Where Google's redirect links lead: asked of Google's own redirect host, and of nobody else.

Grounding hands out links of one host that expire (wire notes §6.4). A HEAD request that is not
followed names the page behind each. Nothing is ever sent to that page.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import anyio
import httpx

from runapi_mcp.wire.grounding import REDIRECT_HOST, is_redirect

_SECONDS: Final = 2.0
_MOST_LINKS: Final = 50
_MOST_AT_ONCE: Final = 16
_MOST_CHARS: Final = 4_096


async def resolve_links(client: httpx.AsyncClient, links: Sequence[str], *, ask_at: str) -> dict[str, str]:
    """Return where `links` lead, for those that say so within two seconds in all.

    Args:
        client: One that follows no redirect.
        links: Only https links of Google's redirect host are asked about, at most 50.
        ask_at: Where that host is reached: a scheme and a host.
    """
    found: dict[str, str] = {}
    room = anyio.CapacityLimiter(_MOST_AT_ONCE)

    async def ask(link: str) -> None:
        parts = urlsplit(link)
        url = f"{ask_at}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        async with room:
            try:
                location = await _location(client, url)
            except (httpx.HTTPError, httpx.InvalidURL):
                return
        if _is_page(location):
            found[link] = location

    with anyio.move_on_after(_SECONDS):
        async with anyio.create_task_group() as tasks:
            for link in [link for link in dict.fromkeys(links) if is_redirect(link)][:_MOST_LINKS]:
                tasks.start_soon(ask, link)
    return found


async def _location(client: httpx.AsyncClient, url: str) -> str:
    response = await client.head(url, headers={"Accept": "*/*"}, follow_redirects=False)
    return response.headers.get("location", "") if 300 <= response.status_code < 400 else ""


def _is_page(location: str) -> bool:
    try:
        parts = urlsplit(location)
        host = parts.hostname
    except ValueError:
        return False
    named = parts.scheme in ("http", "https") and bool(host) and host != REDIRECT_HOST
    return named and len(location) <= _MOST_CHARS
