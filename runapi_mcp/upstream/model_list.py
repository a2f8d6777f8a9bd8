"""The live list of models, and what this process knows of them: what was listed, and what was refused.

The OpenAI-style list is asked for, and Google's where that one does not exist. Each has a shape of its
own (docs/wire.md §2.3). All of them are free.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Final, TypeAlias
from urllib.parse import quote

import anyio
import httpx
from pydantic import Field, SecretStr

from runapi_mcp.beside import beside
from runapi_mcp.errors import ModelRetired, NotFound, ProtocolError, Refused, Stalled
from runapi_mcp.models import ALIASES, AUTO, find, has_ended
from runapi_mcp.printable import one_line, quote_text
from runapi_mcp.settings import Settings
from runapi_mcp.upstream.http import REQUEST_ID, Trace, auth_header, new_request_id, read_start
from runapi_mcp.upstream.pacing import name_pace
from runapi_mcp.upstream.redact import redact
from runapi_mcp.upstream.translate import Today, read_refusal, translate_errors
from runapi_mcp.wire.json_text import without_surrogates
from runapi_mcp.wire.lax import Lax, Maybe, read_documents
from runapi_mcp.wire.types import Auth

_SECONDS: Final = 15.0
_BYTES: Final = 4 * 1024 * 1024
_MOST_PAGES: Final = 20
_MOST_MODELS: Final = 1_000
_MOST_OTHERS: Final = 200
_MOST_KEYS: Final = 256
_ID_CHARS: Final = 128


@dataclass(frozen=True, slots=True)
class LiveModel:
    """A model that the live list names; `title` is upstream's text, or empty."""

    id: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a live list names: Gemini models, and the ids of other vendors' models that the key serves."""

    models: tuple[LiveModel, ...]
    others: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the Gemini models."""
        return tuple(model.id for model in self.models)

    def has(self, model_id: str) -> bool:
        """Whether a model is listed, by its id, an alias of it or what it is an alias of."""
        target = ALIASES.get(model_id, model_id)
        return any(listed == model_id or ALIASES.get(listed, listed) == target for listed in self.ids)


Want: TypeAlias = tuple[str, ...]
"""What was wanted of a model: abilities and an effort, by name."""


@dataclass
class Standing:
    """What this process knows of the models that one key may use.

    Attributes:
        listing: The last live list; `None` before one was had.
        listed_on: The day on which that was.
        asked: How often the list was asked for, with or without success.
        asked_on: The day on which it last was.
        gone: Models of the table that RunAPI said do not exist any more, or not at all.
        lacking: Models of the table, and what of them it refused.
    """

    listing: Listing | None = None
    listed_on: date | None = None
    asked: int = 0
    asked_on: date | None = None
    gone: set[str] = field(default_factory=set)
    lacking: set[tuple[str, Want]] = field(default_factory=set)

    def note_listing(self, listing: Listing, today: date) -> None:
        """Note a live list."""
        self.listing, self.listed_on = listing, today

    def note_refusal(self, model: str, want: Want, refused: Refused) -> None:
        """Note that RunAPI refused a model before anything of an answer came."""
        if find(model) is None:
            return  # it is nobody's default, and strangers may name many
        if isinstance(refused, NotFound | ModelRetired):
            self.gone.add(model)
        else:
            self.lacking.add((model, want))

    def note_answer(self, model: str, want: Want) -> None:
        """Note that a model answers, whatever was said before."""
        self.gone.discard(model)
        self.lacking.discard((model, want))

    def refuses(self, model: str, want: Want) -> bool:
        """Whether a model was refused already, for what is wanted of it."""
        return model in self.gone or (model, want) in self.lacking

    def offers(self, model: str, wish: str, today: date) -> bool:
        """Whether a model is to be asked for a wish: the last list has it, or is no reason not to ask it.

        A default is asked without being listed until its day has passed: lists lag behind.
        """
        if self.listing is None or self.listing.has(model):
            return True
        return wish == AUTO and not has_ended(model, today)


class Standings:
    """What this process knows of each key's models: of the keys used last, none of which it holds."""

    def __init__(self) -> None:
        self._by_name: OrderedDict[str, Standing] = OrderedDict()

    def of(self, key: SecretStr) -> Standing:
        """Return what is known for a key; what is noted there is found again."""
        name = name_pace(key, "")
        standing = self._by_name.setdefault(name, Standing())
        self._by_name.move_to_end(name)
        if len(self._by_name) > _MOST_KEYS:
            self._by_name.popitem(last=False)
        return standing


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


def read_page(text: str) -> tuple[Listing, str | None]:
    """Return one page's models, and the token of the next page if there is one.

    Entries that name no model are left out.

    Raises:
        ProtocolError: It is neither shape.
    """
    try:
        page = read_documents(_Page, text)[0]
    except (ProtocolError, IndexError):
        raise ProtocolError(f"RunAPI's list of models could not be read: {quote_text(text)}.") from None
    found = [_live(m.id, m.display_name) for m in page.openai or [] if m]
    found += [_live(m.name, m.display_name) for m in page.google or [] if m]
    if not found and page.openai != [] and page.google != []:
        raise ProtocolError(f"RunAPI's list of models has no models in it: {quote_text(text)}.")
    return _listing(found), page.next_token or None


def _live(model_id: str, title: str | None) -> LiveModel:
    # Google lists ids with it; calls take them bare (docs/wire.md §2.3).
    bare = model_id.removeprefix("models/")
    return LiveModel(one_line(bare, _ID_CHARS), one_line(without_surrogates(title or ""), _ID_CHARS))


def _listing(found: Iterable[LiveModel]) -> Listing:
    """Return models by vendor, each once: RunAPI's list covers its whole catalogue."""
    every = {model.id: model for model in found if model.id}
    gemini = [model for model in every.values() if model.id.startswith("gemini-")]
    others = [model for model in every if not model.startswith("gemini-")]
    return Listing(tuple(gemini[:_MOST_MODELS]), tuple(others[:_MOST_OTHERS]))


class Lists:
    """Asks for the list of models over one client."""

    def __init__(self, client: httpx.AsyncClient, settings: Settings, today: Today) -> None:
        self._client = client
        self._settings = settings
        self._today = today

    async def openai(self, root: str, key: SecretStr) -> Listing:
        """Return the list that belongs to the chat path `root`.

        Raises:
            NotFound: There is none there.
            UpstreamError: It could not be had.
        """
        return (await self._page(f"{root}/models", "bearer", key))[0]

    async def native(self, key: SecretStr) -> Listing:
        """Return Google's list.

        Raises:
            UpstreamError: It could not be had.
        """
        found: list[LiveModel] = []
        others: list[str] = []
        token: str | None = ""
        for _ in range(_MOST_PAGES):
            query = f"?pageToken={quote(token, safe='')}" if token else ""
            page, token = await self._page(f"/v1beta/models{query}", "x-goog-api-key", key)
            found += page.models
            others += page.others
            if not token:
                break
        return _listing([*found, *map(LiveModel, others)])

    async def _page(self, path: str, auth: Auth, key: SecretStr) -> tuple[Listing, str | None]:
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
            return await beside(lambda: read_page(redact(text, key)))

    async def _body_of(self, get: httpx.Request, path: str, key: SecretStr) -> str:
        response = await self._client.send(get, stream=True)
        if response.status_code != 200:
            raise await read_refusal(response, path=path, key=key, today=self._today)
        text, whole = await read_start(response, _BYTES)
        if not whole:
            raise ProtocolError(f"RunAPI sent more than {_BYTES} bytes as its list of models.")
        return text
