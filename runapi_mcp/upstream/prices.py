"""The prices in force: RunAPI's own list, fetched now and then, or a file, read again when it changes."""

from typing import Final

import anyio
import httpx
from pydantic import SecretStr

from runapi_mcp import logs
from runapi_mcp.beside import beside
from runapi_mcp.errors import ProtocolError, SettingsError, UpstreamError
from runapi_mcp.settings import Settings
from runapi_mcp.upstream.http import Trace, auth_header, new_request_id, read_start
from runapi_mcp.upstream.translate import Today, read_refusal, translate_errors
from runapi_mcp.watched import Watched
from runapi_mcp.wire.usage import Price, Prices, read_price_file, read_price_list

PRICE_PATH: Final = "/api/v1/price_schedules"
FROM_RUNAPI: Final = "runapi"
"""The setting that means RunAPI's list."""
_SECONDS: Final = 15.0
_BYTES: Final = 4 * 1024 * 1024
_AGAIN_SECONDS: Final = 6 * 3600.0
_FAILED_SECONDS: Final = 60.0
_MOST_MISSING: Final = 100


def check_price_file(settings: Settings) -> None:
    """See that the file of prices can be used, if one is named.

    Raises:
        SettingsError: It cannot be read, or a line of it is no price.
    """
    if settings.prices not in ("", FROM_RUNAPI):
        Watched(settings.prices, read_price_file, "the prices")


class PriceBook:
    """What models cost, as far as it is known now.

    Args:
        client: The way to RunAPI.
        settings: Whether there is a list or a file.
        today: The wall clock.

    Attributes:
        file: The file, if there is one that can be used; no price is known if one that is named cannot.
    """

    def __init__(self, client: httpx.AsyncClient, settings: Settings, today: Today) -> None:
        self._client = client
        self._settings = settings
        self._today = today
        self._listed = Prices()
        self._missing: set[str] = set()
        self.file: Watched[Prices] | None = None
        if settings.prices not in ("", FROM_RUNAPI):
            try:
                self.file = Watched(settings.prices, read_price_file, "the prices")
            except SettingsError as error:
                logs.warning("no prices", file=settings.prices, why=error.what)

    def of(self, model: str) -> Price | None:
        """Return a model's price, if it is known."""
        return (self.file.value if self.file else self._listed).of(model)

    def note_missing(self, model: str) -> None:
        """Log that a model's price is not known where there are prices, once a model."""
        known = self.file.value if self.file else self._listed
        if known.by_model and model not in self._missing and len(self._missing) < _MOST_MISSING:
            self._missing.add(model)
            logs.warning("no price", model=model, why="what it costs is not counted, nor guessed")

    async def keep(self) -> None:
        """Keep the prices up to date; for ever, or not at all where none are wanted."""
        if self.file is not None:
            await self.file.watch(_tell_nobody)
        elif self._settings.prices == FROM_RUNAPI:
            while True:
                fetched = await self.fetch()
                await anyio.sleep(_AGAIN_SECONDS if fetched else _FAILED_SECONDS)

    async def fetch(self) -> bool:
        """Fetch RunAPI's list; what was known stays where that fails, and the log says why."""
        try:
            self._listed = await beside(read_price_list, await self._text())
        except UpstreamError as error:
            logs.info("prices not had", error=error.code, known=len(self._listed.by_model))
            return False
        logs.debug("prices", known=len(self._listed.by_model))
        return True

    async def _text(self) -> str:
        trace = Trace(request_id=new_request_id())
        key = self._settings.key or SecretStr("")
        headers = auth_header("bearer", key) if self._settings.key else {}
        get = self._client.build_request("GET", self._settings.base_url + PRICE_PATH, headers=headers)
        with translate_errors(get.url.netloc.decode(), answering=False, trace=trace):
            try:
                with anyio.fail_after(_SECONDS):
                    response = await self._client.send(get, stream=True)
                    try:
                        if response.status_code != 200:
                            raise await read_refusal(response, path=PRICE_PATH, key=key, today=self._today)
                        text, whole = await read_start(response, _BYTES)
                    finally:
                        await response.aclose()
            except TimeoutError:
                raise ProtocolError("RunAPI's list of prices did not come in time.") from None
        if not whole:
            raise ProtocolError("RunAPI's list of prices is too long.")
        return text


async def _tell_nobody(_before: Prices, _now: Prices) -> None:
    """Tell no one."""
