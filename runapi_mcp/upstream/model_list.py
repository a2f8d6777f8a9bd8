"""The live list of models: the OpenAI-style path, and Google's where that one does not exist.

Each has a shape of its own (wire notes §2.4).
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import anyio
import httpx
from pydantic import Field, SecretStr

from runapi_mcp.errors import NotFound, ProtocolError, Stalled, one_line, quoted
from runapi_mcp.settings import Settings
from runapi_mcp.upstream.http import REQUEST_ID, Trace, auth_header, new_request_id, read_start
from runapi_mcp.upstream.redact import redact
from runapi_mcp.upstream.translate import Today, read_refusal, translate_errors
from runapi_mcp.wire.json_text import without_surrogates
from runapi_mcp.wire.lax import Lax, Maybe, read_documents
from runapi_mcp.wire.types import Auth

_SECONDS: Final = 15.0
_BYTES: Final = 4 * 1024 * 1024
_MOST_PAGES: Final = 20
_MOST_MODELS: Final = 1_000


@dataclass(frozen=True, slots=True)
class LiveModel:
    """A model that the live list names; `title` is upstream's text, or empty."""

    id: str
    title: str = ""


class _OpenAIModel(Lax):
    id: str
    display_name: Maybe[str] = None


class _GoogleModel(Lax):
    name: str
    display_name: Maybe[str] = Field(None, alias="displayName")


class _Page(Lax):
    openai: Maybe[list[Maybe[_OpenAIModel]]] = Field(None, alias="data")
    google: Maybe[list[Maybe[_GoogleModel]]] = Field(None, alias="models")
    next_token: Maybe[str] = Field(None, alias="nextPageToken")


def read_page(text: str) -> tuple[list[LiveModel], str | None]:
    """Return one page's Gemini models, and the token of the next page if there is one.

    RunAPI's list covers other vendors' models too; they are left out, and so are entries that name
    no model.

    Raises:
        ProtocolError: It is neither shape.
    """
    try:
        page = next(read_documents(_Page, text))
    except (ProtocolError, StopIteration):
        raise ProtocolError(f"RunAPI's list of models could not be read: {quoted(text)}.") from None
    found = [_live(m.id, m.display_name) for m in page.openai or [] if m]
    found += [_live(m.name, m.display_name) for m in page.google or [] if m]
    if not found and page.openai != [] and page.google != []:
        raise ProtocolError(f"RunAPI's list of models has no models in it: {quoted(text)}.")
    gemini = [model for model in found if model.id.startswith("gemini-")]
    return gemini[:_MOST_MODELS], page.next_token or None


def _live(model_id: str, title: str | None) -> LiveModel:
    bare = model_id.removeprefix("models/")
    return LiveModel(one_line(bare, 128), one_line(without_surrogates(title or ""), 128))


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
