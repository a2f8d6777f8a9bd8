"""The lists of models, in the OpenAI shape and in Google's (wire notes §2.4)."""

from dataclasses import dataclass

from pydantic import Field

from runapi_mcp.errors import ProtocolError, one_line, quoted
from runapi_mcp.wire.json_text import Lax, Maybe, read_documents, without_surrogates

_MOST_MODELS = 1_000


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
