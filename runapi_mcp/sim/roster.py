"""The models the simulator offers, its lists of them, and what it refuses each (docs/wire.md §2, §3.1)."""

from collections.abc import Collection
from dataclasses import dataclass, field

from runapi_mcp.sim.asked import Asked, JsonObject, Refused

NATIVE = frozenset({"gemini-3-flash-preview", "gemini-flash-latest"})
"""Models with a native stream in the seed's table."""

GEMINI = {
    "gemini-2.5-flash": "Gemini 2.5 Flash",
    "gemini-2.5-pro": "Gemini 2.5 Pro",
    "gemini-3.1-pro-preview": "Gemini 3.1 Pro Preview",
    "gemini-3-pro-preview": "Gemini 3 Pro Preview",
    "gemini-3-flash-preview": "Gemini 3 Flash Preview",
    "gemini-flash-latest": "Gemini Flash Latest",
    "gemini-3.5-flash": "Gemini 3.5 Flash",
    "gemini-3.6-flash": "Gemini 3.6 Flash",
    "gemini-3.7-flash": "Gemini 3.7 Flash",
    "gemini-4-argon": "Gemini 4 Argon",
}
OTHERS = ("gpt-5.5", "claude-sonnet-5", "glm-5")
"""RunAPI's OpenAI-shaped list covers its whole catalogue, so clients have to filter."""
PREFIXED = "gemini-2.5-pro"
"""The one id that is listed as `models/…`, as Google lists all of its own."""

PAGE_SIZE = 50
ROOTS = ("/v1beta/openai", "/v1")
"""Where chat and its list are."""
NATIVE_LIST = "/v1beta/models"


@dataclass
class Roster:
    """How it stands with the models, and where they are served: may be changed while the simulator runs.

    Attributes:
        gone: Models that are refused, with 404 or 410.
        swapped: Models in whose name another answers.
        searchless: Models that are refused a search.
        unable: Models that are refused whatever is asked of them, as what they cannot do.
        roots: Which of :data:`ROOTS` there are.
        chatless: Those that have a list, and no chat.
        unlisted: By the path of a list, the models that it leaves out; they are served all the same.
        listed_anyway: Models that are listed although they are gone.
        lists_away: The status that every list answers with; 0 where they answer.
        no_route: What is said of a path that is not there; `{}` is the path.
        no_model: The same of a model that is gone with 404; without it, what Google and OpenAI say.
    """

    gone: dict[str, int] = field(default_factory=dict)
    swapped: dict[str, str] = field(default_factory=dict)
    searchless: set[str] = field(default_factory=set)
    unable: set[str] = field(default_factory=set)
    roots: tuple[str, ...] = ROOTS
    chatless: tuple[str, ...] = ()
    unlisted: dict[str, Collection[str]] = field(default_factory=dict)
    listed_anyway: set[str] = field(default_factory=set)
    lists_away: int = 0
    no_route: str = "No route {}."
    no_model: str | None = None

    def check_path(self, path: str) -> None:
        """Let a request to a path in.

        Raises:
            Refused: There is no such path.
        """
        # The longer first: one of them begins the other.
        root = next((root for root in ROOTS if path.startswith(f"{root}/")), None)
        there = root in self.roots or (root in self.chatless and path.endswith("/models"))
        if root is not None and not there:
            raise Refused(404, self.no_route.format(path), code="not_found")

    def check_list(self, path: str) -> None:
        """Let a request for a list in.

        Raises:
            Refused: It is not there, or none is to be had.
        """
        self.check_path(path)
        if self.lists_away:
            raise Refused(self.lists_away, "Simulated: no list now.")

    def listed(self, path: str) -> dict[str, str]:
        """The Gemini models that a list names, with their titles."""
        left_out = ({*self.gone} - self.listed_anyway) | {*self.unlisted.get(path, ())}
        return {name: title for name, title in GEMINI.items() if name not in left_out}

    def admit(self, asked: Asked) -> None:
        """Let a model take a request.

        Raises:
            Refused: It is gone, or is refused a search.
        """
        match self.gone.get(asked.model):
            case 410:
                raise Refused(410, f"Simulated: {asked.model} was retired.", code="model_retired")
            case 404 if self.no_model is not None:
                raise Refused(404, self.no_model, code="not_found")
            case 404 if asked.dialect == "native":
                raise Refused(404, f"models/{asked.model} is not found for API version v1beta.")
            case 404:
                raise Refused(404, f"The model '{asked.model}' does not exist.", code="model_not_found")
            case _:
                pass
        if asked.model in self.unable or (asked.search and asked.model in self.searchless):
            said = f"Simulated: {asked.model} does not support that here."
            raise Refused(400, said, code="unsupported_model_capability")


def price_list() -> list[JsonObject]:
    """The rows of `/api/v1/price_schedules`: made-up prices of a million tokens in cents, of most models."""
    prices = {"gemini-2.5-flash": (30, 250, 7.5), "gemini-3-flash-preview": (50, 300, 5)}
    return [
        {
            "service": "gemini",
            "action": "chat_completion",
            "model": name,
            "input_price_per_1m_cents": read,
            "output_price_per_1m_cents": written,
            "cache_read_price_per_1m_cents": again,
        }
        for name, (read, written, again) in prices.items()
    ]


def openai_list(listed: dict[str, str]) -> JsonObject:
    """The body of `/v1/models` and `/v1beta/openai/models`."""
    ids = [f"models/{name}" if name == PREFIXED else name for name in listed]
    rows = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "google"} for name in ids]
    rows += [
        {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "other"} for name in OTHERS
    ]
    return {"object": "list", "data": rows}


def native_list(listed: dict[str, str], page_size: str, page_token: str) -> JsonObject:
    """One page of `/v1beta/models`.

    Raises:
        Refused: The size or the token is not one this list gave out.
    """
    rows = list(listed.items())
    try:
        size, start = int(page_size or PAGE_SIZE), int(page_token.removeprefix("page-") or 0)
    except ValueError:
        raise Refused(400, "pageSize or pageToken is invalid.") from None
    if size < 1 or not 0 <= start < len(rows):
        raise Refused(400, "pageSize or pageToken is invalid.")
    body: JsonObject = {"models": [_native_row(*row) for row in rows[start : start + size]]}
    if start + size < len(rows):
        body["nextPageToken"] = f"page-{start + size}"
    return body


def _native_row(name: str, title: str) -> JsonObject:
    return {
        "name": f"models/{name}",
        "version": "simulated",
        "displayName": title,
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
        "thinking": True,
    }


def admit(asked: Asked, *, bridge: bool) -> None:
    """Let the model take the request.

    Args:
        asked: The request.
        bridge: Every Gemini model is accepted on the native path, not only the seed's.

    Raises:
        Refused: The model does not exist there or lacks what is asked for.
    """
    model = asked.model
    if asked.dialect == "native":
        if model not in GEMINI:
            raise Refused(404, f"models/{model[:80]} is not found for API version v1beta.")
        if model not in NATIVE and not bridge:
            raise Refused(400, f"{model} does not support streamGenerateContent here; use chat/completions.")
    elif model not in GEMINI and model not in OTHERS:
        raise Refused(404, f"The model '{model[:80]}' does not exist.", code="model_not_found")
    if model == "gemini-3.7-flash" and asked.effort not in (None, "low", "high"):
        raise Refused(
            400, "gemini-3.7-flash takes reasoning effort low or high.", code="unsupported_model_capability"
        )
    if model == "gemini-3.7-flash" and asked.dialect == "chat" and asked.search:
        raise Refused(
            400, "gemini-3.7-flash takes no hosted search on chat.", code="unsupported_model_capability"
        )
