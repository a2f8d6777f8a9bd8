"""The live list of models: the OpenAI-style path, and Google's where that one does not exist."""

from typing import Final
from urllib.parse import quote

import anyio
import httpx
from pydantic import SecretStr

from runapi_mcp.errors import NotFound, ProtocolError, Stalled
from runapi_mcp.settings import Settings
from runapi_mcp.upstream.faults import Today, read_refusal, translate_errors
from runapi_mcp.upstream.http import REQUEST_ID, auth_header, new_request_id, read_start
from runapi_mcp.upstream.redact import redact
from runapi_mcp.upstream.trace import Trace
from runapi_mcp.wire.model_list import LiveModel, read_page
from runapi_mcp.wire.types import Auth

_SECONDS: Final = 15.0
_BYTES: Final = 4 * 1024 * 1024
_MOST_PAGES: Final = 20


class Lists:
    """Asks for the list of models over one client."""

    def __init__(self, client: httpx.AsyncClient, settings: Settings, today: Today) -> None:
        self._client = client
        self._settings = settings
        self._today = today

    async def models(self, key: SecretStr) -> list[LiveModel]:
        """Return the live list of Gemini models.

        Raises:
            UpstreamError: Neither list could be had.
        """
        try:
            return (await self._page(f"{self._settings.chat_path}/models", "bearer", key))[0]
        except NotFound:
            return await self._native_models(key)

    async def _native_models(self, key: SecretStr) -> list[LiveModel]:
        found: list[LiveModel] = []
        token: str | None = ""
        for _ in range(_MOST_PAGES):
            query = f"?pageToken={quote(token, safe='')}" if token else ""
            page, token = await self._page(f"/v1beta/models{query}", "x-goog-api-key", key)
            found += page
            if not token:
                break
        return found

    async def _page(self, path: str, auth: Auth, key: SecretStr) -> tuple[list[LiveModel], str | None]:
        """Return one page of a list and the token of the next.

        Raises:
            UpstreamError: It could not be had, is larger than 4 MiB, or is no list.
        """
        trace = Trace(request_id=new_request_id())
        headers = auth_header(auth, key) | {REQUEST_ID: trace.request_id or ""}
        get = self._client.build_request("GET", self._settings.base_url + path, headers=headers)
        with translate_errors(get.url.netloc.decode(), answering=False, trace=trace):
            try:
                with anyio.fail_after(_SECONDS):
                    text = await self._body_of(get, path, key)
            except TimeoutError:
                raise Stalled(f"RunAPI did not send its list of models within {_SECONDS:g} s.") from None
            return read_page(redact(text, key))

    async def _body_of(self, get: httpx.Request, path: str, key: SecretStr) -> str:
        response = await self._client.send(get, stream=True)
        if response.status_code != 200:
            raise await read_refusal(response, path=path, key=key, today=self._today)
        text, whole = await read_start(response, _BYTES)
        if not whole:
            raise ProtocolError(f"RunAPI sent more than {_BYTES} bytes as its list of models.")
        return text
