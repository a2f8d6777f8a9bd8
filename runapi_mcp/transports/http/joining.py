"""What a member of a team needs: each host's entry for a server over the network, and a page that has them.

The page is one file of our own without a reference to any other: its policy lets it load nothing, and
ask this server alone. The token that is typed into it stays in the page's memory.
"""

import base64
import hashlib
import html
import json
import re
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from runapi_mcp import __version__
from runapi_mcp.transports.http.auth import Auth, CallersKeys, JwtAuth
from runapi_mcp.transports.http.front import MCP_PATH, prefix_of

URL: Final = "SERVER_URL"
TOKEN: Final = "YOUR_TOKEN"  # noqa: S105  # what stands for one
"""What stands for the address and the token in an entry."""


@dataclass(frozen=True, slots=True)
class RemoteHost:
    """How one host is told of a server over the network.

    Attributes:
        id: What commands call it.
        title: What people call it.
        where: Where the entry goes, or that it is typed.
        entry: The entry, with :data:`URL` and :data:`TOKEN` in it.
        wrong: What one sees in it when the token is wrong.
    """

    id: str
    title: str
    where: str
    entry: str
    wrong: str


def _json(*path: str, **entry: object) -> str:
    nested: object = entry
    for name in reversed(path):
        nested = {name: nested}
    return json.dumps(nested, indent=2)


_HEADERS: Final = {"Authorization": f"Bearer {TOKEN}"}

REMOTE_HOSTS: Final = (
    RemoteHost(
        "claude-code",
        "Claude Code",
        "In a terminal:",
        f'claude mcp add --transport http --scope user runapi {URL} --header "Authorization: Bearer {TOKEN}"',
        "/mcp shows runapi as failed, or as needing authentication; signing in leads nowhere.",
    ),
    RemoteHost(
        "cursor",
        "Cursor",
        "In ~/.cursor/mcp.json:",
        _json("mcpServers", "runapi", url=URL, headers=_HEADERS),
        "Settings → MCP shows runapi with a red dot, or asks you to connect.",
    ),
    RemoteHost(
        "vscode",
        "VS Code",
        "In mcp.json (command: MCP: Open User Configuration):",
        _json("servers", "runapi", type="http", url=URL, headers=_HEADERS),
        "The server's output says 401, or VS Code asks for a client id: cancel, and correct the token.",
    ),
    RemoteHost(
        "codex",
        "Codex CLI",
        "In ~/.codex/config.toml:",
        f'[mcp_servers.runapi]\nurl = "{URL}"\nhttp_headers = {{ Authorization = "Bearer {TOKEN}" }}\n'
        "tool_timeout_sec = 600",
        "At the start: MCP client for runapi failed to start; codex exec says AuthRequired, and why.",
    ),
    RemoteHost(
        "gemini-cli",
        "Gemini CLI",
        "In ~/.gemini/settings.json:",
        _json("mcpServers", "runapi", httpUrl=URL, headers=_HEADERS, timeout=600000),
        "/mcp shows runapi as disconnected; as disabled, where the folder is not trusted.",
    ),
    RemoteHost(
        "windsurf",
        "Windsurf",
        "In ~/.codeium/windsurf/mcp_config.json:",
        _json("mcpServers", "runapi", serverUrl=URL, headers=_HEADERS),
        "The list of servers shows an error beside runapi.",
    ),
    RemoteHost(
        "cline",
        "Cline",
        "In cline_mcp_settings.json (MCP Servers → Configure):",
        _json("mcpServers", "runapi", type="streamableHttp", url=URL, headers=_HEADERS, timeout=600),
        "MCP Servers shows a red dot and the server's words.",
    ),
    RemoteHost(
        "zed",
        "Zed",
        "In settings.json:",
        _json("context_servers", "runapi", url=URL, headers=_HEADERS),
        "The agent panel's settings show runapi with a red dot.",
    ),
    RemoteHost(
        "opencode",
        "opencode",
        "In ~/.config/opencode/opencode.json:",
        _json("mcp", "runapi", type="remote", url=URL, headers=_HEADERS, enabled=True, oauth=False),
        "opencode mcp list shows runapi as failed.",
    ),
    RemoteHost(
        "goose",
        "Goose",
        "In ~/.config/goose/config.yaml:",
        "extensions:\n  runapi:\n    enabled: true\n    type: streamable_http\n    name: runapi\n"
        f'    uri: "{URL}"\n    headers:\n      Authorization: "Bearer {TOKEN}"\n    timeout: 600',
        "The session starts without it and says that the extension failed.",
    ),
    RemoteHost(
        "claude-desktop",
        "Claude Desktop",
        "In claude_desktop_config.json; it speaks to such servers through mcp-remote, which needs Node:",
        _json(
            "mcpServers",
            "runapi",
            command="npx",
            args=["-y", "mcp-remote", URL, "--header", "Authorization:${RUNAPI_AUTHORIZATION}"],
            env={"RUNAPI_AUTHORIZATION": f"Bearer {TOKEN}"},
        ),
        "Settings → Developer shows runapi as failed; its log says that there is no OAuth here.",
    ),
    RemoteHost(
        "other",
        "Another host",
        "Wherever it takes a server over Streamable HTTP:",
        f"{URL}\nAuthorization: Bearer {TOKEN}",
        "A 401, whose text says what to send.",
    ),
)


def page_routes(auth: Auth | None) -> list[BaseRoute]:
    """Return the route of the page for people."""
    page = JoiningPage(auth)
    return [Route("/", page.answer, methods=["GET"])]


class JoiningPage:
    """The page: what this is, each host's entry, whether a token is right, and what it used today."""

    def __init__(self, auth: Auth | None) -> None:
        text = files("runapi_mcp.transports.http").joinpath("joining.html").read_text(encoding="utf-8")
        self._text = text.replace("{{version}}", html.escape(__version__))
        self._credential = _credential(auth)
        sources = (re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL) for tag in ("style", "script"))
        style, script = (_hash(found[1]) for found in sources if found)
        self._headers = {
            "Content-Security-Policy": (
                f"default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; "
                "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
                "require-trusted-types-for 'script'"
            ),
            "Cache-Control": "no-store",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }

    async def answer(self, request: Request) -> Response:
        """Return the page as it is reached by this request."""
        facts = {
            "path": f"{prefix_of(request.scope)}{MCP_PATH}",
            "credential": self._credential,
            "hosts": [asdict(host) for host in REMOTE_HOSTS],
        }
        # In an attribute, where nothing of it can become markup.
        return HTMLResponse(
            self._text.replace("{{facts}}", html.escape(json.dumps(facts), quote=True)), headers=self._headers
        )


def _credential(auth: Auth | None) -> str:
    """Return what a caller sends, in the words of the page; "" where nothing is needed."""
    match auth:
        case None:
            return ""
        case CallersKeys():
            return "RunAPI key"
        case JwtAuth():
            return "access token"
        case _:
            return "token"


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
