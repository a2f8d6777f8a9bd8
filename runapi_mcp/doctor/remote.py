"""What a host would see of a server on the network: greeted as hosts greet one, and asked for its tools."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from runapi_mcp import __version__
from runapi_mcp.errors import RunapiError
from runapi_mcp.printable import quote_text
from runapi_mcp.upstream.probe import Reply, ask_server

_HELLO: Final = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "runapi-mcp-doctor", "version": __version__},
}
_MOST_WORDS: Final = 300
_WHO: Final = (401, 403, 421)


@dataclass(frozen=True, slots=True)
class Met:
    """What was seen.

    Attributes:
        problem: Why there are no tools; empty if there are.
        mend: What mends it.
        tools: Their names.
    """

    problem: str = ""
    mend: str = ""
    tools: tuple[str, ...] = ()


async def meet(url: str, token: str, *, events: bool) -> Met:
    """Return what a host sees of a server; `events` if the host takes it for one of the older SSE."""
    try:
        return await (_open(url, token) if events else _greet(url, token))
    except RunapiError as error:
        return Met(error.what, "Start the server, or correct the address in the config.")


async def _open(url: str, token: str) -> Met:
    """Open the stream of events, which is all that can be seen without holding it."""
    reply = await ask_server(url, token, None)
    if reply.kind == "text/event-stream" and "endpoint" in reply.body:
        return Met()
    refused = _refused(reply)
    if refused is not None and reply.status in _WHO:
        return refused
    return Met(
        f"As the entry is written, the host opens the older SSE, and {url} answered {reply.status} to that.",
        "Write it for Streamable HTTP, as runapi-mcp install HOST --url does; or name the server's …/sse.",
    )


async def _greet(url: str, token: str) -> Met:
    reply = await ask_server(url, token, _message("initialize", _HELLO, 1))
    if (refused := _refused(reply)) is not None:
        return refused
    if "result" not in answer_of(reply):
        return Met(f"{url} does not answer as an MCP server does.", "Name its MCP endpoint, such as …/mcp.")
    await ask_server(url, token, _message("notifications/initialized"), reply.session)
    listed = answer_of(await ask_server(url, token, _message("tools/list", {}, 2), reply.session))
    await ask_server(url, token, None, reply.session, method="DELETE")
    tools = (listed.get("result") or {}).get("tools")
    if not isinstance(tools, list):
        return Met(f"{url} did not list its tools.", "Look at the server's own log.")
    return Met(tools=tuple(str(tool.get("name")) for tool in tools if isinstance(tool, dict)))


def _message(method: str, params: Mapping[str, Any] | None = None, number: int | None = None) -> bytes:
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    message |= {} if params is None else {"params": params}
    return json.dumps(message if number is None else {**message, "id": number}).encode()


def _refused(reply: Reply) -> Met | None:
    """Return why a server did not let a host in, and what mends it; `None` if it did."""
    said = f"{reply.url} answered {reply.status}"
    match reply.status:
        case status if 300 <= status < 400:
            return Met(
                f"{said} and leads elsewhere: {quote_text(reply.location)}.",
                "Name that address, if it is its own.",
            )
        case 401 | 403:
            mend = "Set the token that its operator gave you; runapi-mcp token list shows them whose it has."
        case 404 | 405:
            mend = "Correct the address: this server's is …/mcp, behind a proxy under the proxy's prefix."
        case 421:
            mend = "Have its operator start it with --allowed-host and that name."
        case status if status >= 400:
            mend = "Look at the server's own log, or that of the proxy before it."
        case _ if "html" in reply.kind:
            return Met(f"{said} with a web page: a login page, or another server.", "Correct the address.")
        case _:
            return None
    words = _words(reply)
    return Met(f"{said}{f': {quote_text(words)}' if words else '.'}", mend)


def _words(reply: Reply) -> str:
    """Return what a refusal says in words, if it says so in JSON or as text."""
    if "html" in reply.kind:
        return ""
    try:
        parsed = json.loads(reply.body)
        error = parsed.get("error_description") or parsed.get("error")
        return str(error.get("message") if isinstance(error, dict) else error or "")[:_MOST_WORDS]
    except (ValueError, AttributeError):
        return reply.body.strip()[:_MOST_WORDS]


def answer_of(reply: Reply) -> dict[str, Any]:
    """Return the answer in a body of JSON or of events; empty if none is in it yet."""
    if reply.kind != "text/event-stream":
        return _parsed(reply.body)
    for event in re.split(r"\r?\n\r?\n", reply.body)[:-1]:
        pieces = [line[5:].removeprefix(" ") for line in event.splitlines() if line.startswith("data:")]
        answer = _parsed("\n".join(pieces))
        if "result" in answer or "error" in answer:
            return answer
    return {}


def _parsed(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
