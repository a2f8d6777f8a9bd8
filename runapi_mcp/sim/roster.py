"""The models the simulator offers, its lists of them, and what it refuses each (wire notes §2)."""

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


def openai_list() -> JsonObject:
    """The body of `/v1/models` and `/v1beta/openai/models`."""
    ids = [f"models/{name}" if name == PREFIXED else name for name in GEMINI]
    rows = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "google"} for name in ids]
    rows += [
        {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "other"} for name in OTHERS
    ]
    return {"object": "list", "data": rows}


def native_list(page_size: str, page_token: str) -> JsonObject:
    """One page of `/v1beta/models`.

    Raises:
        Refused: The size or the token is not one this list gave out.
    """
    rows = list(GEMINI.items())
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
