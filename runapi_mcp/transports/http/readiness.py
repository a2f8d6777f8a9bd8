"""Whether the server can do what it is there for, and the line that says at its start what it has."""

from collections.abc import Sequence
from importlib.util import find_spec
from urllib.parse import urlsplit

import anyio

from runapi_mcp import __version__
from runapi_mcp.server.app import App
from runapi_mcp.settings import Settings
from runapi_mcp.transports.http.auth import Auth, CallersKeys, JwtAuth
from runapi_mcp.transports.http.tokens import TokenFile, TokenList

_ASK_SECONDS = 1.5
"""What the question whether the store answers may take; its own calls take a second at most."""


class Readiness:
    """What the server is to have, and has not.

    Args:
        app: What the process shares.
        auth: Who may call; where each brings a key, the server needs none.
        grace: For how many seconds something may be missing before it counts.
    """

    def __init__(self, app: App, auth: Auth | None, grace: float) -> None:
        self._app = app
        self._needs_key = not isinstance(auth, CallersKeys)
        self._grace = grace
        self._began = anyio.current_time()

    async def missing(self, grace: float = 0.0) -> list[str]:
        """Return what has been missing for longer than `grace` seconds, a few words each."""
        found: list[str] = []
        settings = self._app.settings
        up_for = anyio.current_time() - self._began
        if self._needs_key and settings.key is None and not settings.key_is_in_keyring and up_for >= grace:
            found.append(f"the RunAPI key ({settings.key_problem or 'set RUNAPI_TOKEN'})".replace(".)", ")"))
        away = 0.0
        with anyio.move_on_after(_ASK_SECONDS):
            away = await self._app.generations.store_away()
        if away > 0 and away >= grace:
            found.append("the store, which does not answer")
        return found

    async def reason(self) -> str:
        """Return why it is not ready, in a sentence; "" if it is."""
        missing = await self.missing(self._grace)
        return f"Missing: {'; '.join(missing)}." if missing else ""


def write_start_line(base_url: str, settings: Settings, auth: Auth | None, missing: Sequence[str]) -> str:
    """Return the line that says where a server is, who may call, what is on, and what is missing."""
    said = [
        f"runapi-mcp {__version__} listens at {base_url}/mcp (older clients: {base_url}/sse)",
        f"who may call: {_callers(auth)}",
        f"generations: {place_of_store(settings)}",
        f"metrics: {'/metrics' if find_spec('prometheus_client') else 'off (extra runapi-mcp[metrics])'}",
        f"log: {settings.log}",
    ]
    if missing:
        said.append(f"MISSING: {'; '.join(missing)}")
    return " · ".join(said)


def place_of_store(settings: Settings) -> str:
    """Return where generations are kept, without the user and password that an address may hold."""
    where = settings.store.get_secret_value() if settings.store else "memory"
    if "://" not in where:
        return "of this process" if where == "memory" else "kept on this machine"
    url = urlsplit(where)
    return f"shared at {url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


def _callers(auth: Auth | None) -> str:
    match auth:
        case None:
            return "everyone on this machine"
        case CallersKeys():
            return "whoever brings a RunAPI key"
        case JwtAuth(issuer=issuer):
            return f"tokens of {issuer}"
        case TokenFile() | TokenList():
            people, tokens = len(auth.names), len(auth.entries)
            whose = f"{people} {'person' if people == 1 else 'people'}"
            return whose if tokens == people else f"{whose} by {tokens} tokens"
