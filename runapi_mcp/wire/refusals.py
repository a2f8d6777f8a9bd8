"""What a report of an error means: whose move it is, and what to do next, as one of our errors."""

import math
import re
from typing import Literal

from runapi_mcp.errors import (
    FailedMidway,
    KeyRefused,
    ModelRefused,
    ModelRetired,
    NoCredit,
    NotAllowed,
    NotFound,
    RateLimited,
    Refused,
    RequestRefused,
    Unavailable,
)
from runapi_mcp.printable import quote_text
from runapi_mcp.wire.faults import allows_nothing
from runapi_mcp.wire.types import Failure

_MEANINGS: dict[int, str] = {
    400: "the request was rejected", 401: "the key was refused", 402: "the account has no credit left",
    403: "the key may not do this", 404: "there is no such model or path", 408: "the request timed out",
    409: "the request conflicts with another", 410: "it was retired", 413: "the request is too large",
    415: "the media type is not supported", 422: "the request failed validation",
    429: "too many requests", 500: "it failed inside", 502: "a proxy got no good answer",
    503: "it is not available now", 504: "a proxy waited too long",
}  # fmt: skip
_ERRORS: dict[int, type[Refused]] = {
    401: KeyRefused, 402: NoCredit, 403: NotAllowed, 404: NotFound, 408: Unavailable, 429: RateLimited,
}  # fmt: skip
_ABOUT_THE_MODEL: dict[str, type[Refused]] = {
    "model_retired": ModelRetired, "model_deprecated": ModelRetired, "model_not_found": NotFound,
    "deploymentnotfound": NotFound, "unsupported_model_capability": ModelRefused,
}  # fmt: skip
_RETIRED = re.compile(
    r"\bmodels?\b.{0,120}?\b(?:is|was|been|are) "
    r"(?:no longer (?:available|supported|served|accessible)|retired|decommissioned|discontinued|deprecated"
    r"|sunset|removed|shut down)|\bmodels?\b.{0,120}?\bend[ -]of[ -]life\b"
    r"|模型.{0,120}?(?:已下线|已停用|已弃用|已废弃|已退役|不再)",
    re.IGNORECASE | re.DOTALL,
)
_UNKNOWN = re.compile(
    r"\b(?:no such|unknown|invalid|nonexistent|not a valid) model\b(?! output)"
    r"|\bmodels?\b\S{0,100}(?: \S{1,100})? (?:(?:is |was )?not found|does(?: not|n't) exist)"
    # OpenRouter's words for a model that nobody serves
    r"|\bno endpoints found for\b|模型.{0,120}?(?:不存在|未找到)",
    re.IGNORECASE,
)
_NO_ROUTE = re.compile(
    # Rails, Go's and Express's routers, new-api, FastAPI behind a proxy that names the path
    r"\bno (?:such )?(?:route|endpoint|path)\b|\b(?:route|endpoint|path|url)\b[^.]{0,120}?"
    r"\b(?:not found|not exist|does(?: not|n't) exist)|\bpage\b.{0,60}?(?:not found|does(?: not|n't) exist)"
    r"|\bcannot (?:post|get) /|\binvalid url\b|\bunknown (?:request )?(?:url|path|route|endpoint)\b",
    re.IGNORECASE,
)
_LACKS = re.compile(
    r"\bnot (?:be )?(?:support|enabled|available)|n't support|\bunsupported\b|\bdoes not have\b",
    re.IGNORECASE,
)
_ABILITY = re.compile(
    r"\bmodels?\b|\bgemini|search|\bgrounding\b|response_format|structured output|function calling",
    re.IGNORECASE,
)
_GONE = (404, 410)
_KEYWORD = re.compile(
    r"\$ref|\$defs|additional_?properties|(?:any|one|all)_?of\b|prefix_?items|(?:min|max)_?items",
    re.IGNORECASE,
)
"""A word of a schema: what is not supported then is that, and not something the model cannot do."""
_SCHEMA = re.compile(r"response_?(?:json_?)?schema|response_format", re.IGNORECASE)
_MODEL_STATUSES = (400, 404, 410, 422, None)
_MODEL_HEAD = 1_000
"""Characters of a message that are searched for such words."""
_BLOCKED = re.compile(
    r"PROHIBITED_CONTENT|\bblock_?reason\b"
    r"|\b(?:prompt|request|content|input)\b.{0,40}?\b(?:blocked|filtered|flagged|violat)",
    re.IGNORECASE | re.DOTALL,
)
_BLOCKING = ("content_policy_violation", "content_filter", "prompt_blocked")
_SIGNATURE = re.compile(r"thought[_ ]?signature", re.IGNORECASE)


def refusal(failure: Failure, status: int, *, path: str) -> Refused:
    """Return the error for an answer with `status` instead of a stream, or with an error at 200.

    `status` is the response's own; at 200 the status that the body names counts. If it names none,
    whose fault it is is not known, and it counts as RunAPI's.
    """
    known = _status(failure, status)
    kind = _kind(failure, known, path)
    said = (
        quote_text(failure.message) if failure.message else _MEANINGS.get(known or 200, "no reason was given")
    )
    verb = "RunAPI refused the key" if kind is KeyRefused else "RunAPI refused the call"
    verb = "RunAPI no longer serves the model" if kind is ModelRetired else verb
    verb = "RunAPI failed" if kind is Unavailable and known != 408 else verb
    error = kind(
        f"{verb} ({known or 'an error at status 200'}): {said}{_stop(said)}",
        advice=_advice(kind, failure, known, path),
        status=known,
        retry_after=failure.retry_after,
        hopeless=failure.hopeless,
    )
    if isinstance(error, NotFound):
        error.lacking = _lacking(failure)
    if isinstance(error, RequestRefused):
        error.said = failure.message
    return error


def _lacking(failure: Failure) -> Literal["model", "route", ""]:
    """Return what a 404 says does not exist; empty if it may be either."""
    head = failure.message[:_MODEL_HEAD]
    if (failure.code or "").lower() in _ABOUT_THE_MODEL or _UNKNOWN.search(head):
        return "model"
    return "route" if _NO_ROUTE.search(head) else ""


def midway(failure: Failure, *, partial: str) -> FailedMidway:
    """Return the error for a failure reported inside a stream."""
    named = f" ({failure.status})" if failure.status else ""
    said = quote_text(failure.message) if failure.message else "no reason was given"
    return FailedMidway(
        f"RunAPI broke off its answer with an error{named}: {said}{_stop(said)}",
        partial=partial,
        status=failure.status,
        retry_after=failure.retry_after,
    )


def _stop(sentence: str) -> str:
    return "" if sentence.endswith((".", ".”")) else "."


def _status(failure: Failure, status: int) -> int | None:
    """Return the status that counts.

    Relays answer 400, 500 or 502 of their own and put Google's 429 or 404 into the body (new-api,
    one-api and OpenRouter do): whoever refused the request knows better than who passed it on. The
    other way round it is not so: a 401 or 402 is the relay's own affair.
    """
    named = failure.status if failure.status and failure.status >= 400 else None
    if status == 200 or named is None:
        return named if status == 200 else status
    if status == 503 and named in _GONE:
        # new-api calls a model without a free channel model_not_found, and the next may find one.
        return status
    vague = status == 400 or status >= 500
    return named if vague and (named < 500 or (named == 503 and status >= 500)) else status


def _kind(failure: Failure, status: int | None, path: str) -> type[Refused]:
    # Google says 400 INVALID_ARGUMENT for a wrong key and names it in the details (docs/wire.md §3.3).
    if failure.code == "API_KEY_INVALID":
        return KeyRefused
    if about := _about_the_model(failure, status, path):
        return about
    if status is None:
        return Unavailable
    return _ERRORS.get(status, Unavailable if status >= 500 else RequestRefused)


def _about_the_model(failure: Failure, status: int | None, path: str) -> type[Refused] | None:
    """Return the error of a refusal that another model may not meet; `None` if it is none.

    A 503 that says so is none: relays have it for a model without a free channel, which passes.
    """
    lists = path.partition("?")[0].endswith("/models")
    if lists or status not in _MODEL_STATUSES:
        return None
    head = failure.message[:_MODEL_HEAD]
    coded = _ABOUT_THE_MODEL.get((failure.code or "").lower())
    if coded or status == 410:
        return coded or ModelRetired
    # Relays have no code for it, or one of their own.
    if _RETIRED.search(head):
        return ModelRetired
    if _UNKNOWN.search(head):
        return NotFound
    lacks = _LACKS.search(head) and _ABILITY.search(head) and not _KEYWORD.search(head)
    return ModelRefused if lacks else None


def _is_blocked(failure: Failure) -> bool:
    """Whether a refusal is a filter's word on the prompt."""
    return failure.code in _BLOCKING or _BLOCKED.search(failure.message[:_MODEL_HEAD]) is not None


def _advice(kind: type[Refused], failure: Failure, status: int | None, path: str) -> str | None:
    if status is not None and status < 400:
        return "It was redirected, and a key is never sent after a redirect. Check RUNAPI_BASE_URL."
    if kind is NotFound and status == 404 and path.endswith("/chat/completions"):
        other = "/v1" if "/v1beta/openai" in path else "/v1beta/openai"
        return (
            f"list_models shows the models that exist. If every model fails, RunAPI may serve chat at "
            f"{other}: set RUNAPI_CHAT_PATH={other}."
        )
    if kind is RequestRefused and _SIGNATURE.search(failure.message[:_MODEL_HEAD]):
        # Gemini 3 refuses a call that comes back without what was sent with it.
        return (
            "Give each function call back as it came: in messages, the assistant's turn takes the list of "
            "function_calls of that answer whole, each with its signature. Calls of another model are told "
            "as text instead."
        )
    if kind is RequestRefused and _is_blocked(failure):
        return "A filter refused the prompt, and will again: say it in other words, or leave that part out."
    if kind is RequestRefused and (_SCHEMA.search(failure.message[:_MODEL_HEAD])):
        return (
            "It is about the schema in the words in which it was sent, which the caller did not write: make "
            "the schema simpler there, or use another model."
        )
    if kind in (RateLimited, Unavailable) and allows_nothing(failure.message):
        return "The key has no quota at all for this model: waiting will not help; another model may."
    if kind in (RateLimited, Unavailable) and failure.hopeless:
        return "It is a daily quota: waiting a little will not help; another model may."
    if kind in (RateLimited, Unavailable) and failure.retry_after is not None:
        return f"It asked for {math.ceil(failure.retry_after)} s; call again after that."
    return None
