"""The lists of models, in the OpenAI shape and in Google's (wire notes §2.4)."""

from dataclasses import dataclass

from pydantic import Field, ValidationError

from runapi_mcp.errors import ProtocolError, one_line, quoted
from runapi_mcp.wire.documents import Lax, without_surrogates

_MOST_MODELS = 1_000


@dataclass(frozen=True, slots=True)
class LiveModel:
    """A model that the live list names; `title` is upstream's text, or empty."""

    id: str
    title: str = ""


class _OpenAIModel(Lax):
    id: str
    display_name: str | None = None


class _GoogleModel(Lax):
    name: str
    display_name: str | None = Field(None, alias="displayName")


class _Page(Lax):
    openai: list[_OpenAIModel] | None = Field(None, alias="data")
    google: list[_GoogleModel] | None = Field(None, alias="models")
    next_token: str | None = Field(None, alias="nextPageToken")


def read_page(text: str) -> tuple[list[LiveModel], str | None]:
    """Return one page's Gemini models, and the token of the next page if there is one.

    RunAPI's list covers other vendors' models too; they are left out.

    Raises:
        ProtocolError: It is neither shape.
    """
    try:
        page = _Page.model_validate_json(text)
    except ValidationError:
        raise ProtocolError(f"RunAPI's list of models could not be read: {quoted(text)}.") from None
    if page.openai is None and page.google is None:
        raise ProtocolError(f"RunAPI's list of models has no models in it: {quoted(text)}.")
    found = [_live(m.id, m.display_name) for m in page.openai or []]
    found += [_live(m.name, m.display_name) for m in page.google or []]
    gemini = [model for model in found if model.id.startswith("gemini-")]
    return gemini[:_MOST_MODELS], page.next_token or None


def _live(model_id: str, title: str | None) -> LiveModel:
    bare = model_id.removeprefix("models/")
    return LiveModel(one_line(bare, 128), one_line(without_surrogates(title or ""), 128))
