"""Upstream's reports of errors, in every shape they come in → :class:`Failure` → our errors.

The shapes are those of the wire notes §3.2 (a–j): a string, an object with a string or an
integer code, Google's with details, any of them in a one-element array, a bare ``message`` or
``msg``, an HTML page, nothing at all.
"""

import json
import math
import re
from collections.abc import Iterator

from pydantic import Field

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
    quoted,
)
from runapi_mcp.wire.json_text import Lax, without_surrogates
from runapi_mcp.wire.types import Failure, JsonObject

_CANONICAL = {
    "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404,
    "ABORTED": 409, "ALREADY_EXISTS": 409, "RESOURCE_EXHAUSTED": 429, "CANCELLED": 499,
    "INTERNAL": 500, "UNKNOWN": 500, "DATA_LOSS": 500, "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}  # fmt: skip
"""Google's canonical statuses as HTTP statuses (wire notes §3.3)."""
_CODED = {
    "invalid_resource_id": 400, "request_conflict": 409, "source_task_not_ready": 409,
    "source_task_unusable": 422, "continuation_not_supported": 422, "rate_limited": 429,
    "continuation_unavailable": 503, "model_retired": 410, "model_not_found": 404,
}  # fmt: skip
"""RunAPI's own codes as the HTTP statuses that they come with (wire notes §3.1, §11)."""

_MESSAGE_KEYS = ("message", "detail", "errorMessage", "msg")
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
    "model_retired": ModelRetired, "model_not_found": NotFound, "unsupported_model_capability": ModelRefused,
}  # fmt: skip
_RETIRED = re.compile(
    r"\bmodels?\b.{0,120}?\b(?:is|was|been|are) "
    r"(?:no longer (?:available|supported|served)|retired|decommissioned|discontinued|shut down)",
    re.IGNORECASE | re.DOTALL,
)
_UNKNOWN = re.compile(
    r"\b(?:no such|unknown|invalid|nonexistent|not a valid) model\b(?! output)"
    r"|\bmodels?\b\S{0,100}(?: \S{1,100})? (?:(?:is |was )?not found|does(?: not|n't) exist)",
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
_MODEL_STATUSES = (400, 404, 410, 422, None)
_MODEL_HEAD = 1_000
"""Characters of a message that are searched for such words."""
_HEADLINE = re.compile(r"<(title|h1)[^>]*>(.*?)</\1>", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"<[^>]*>")
_TOO_MANY_LEVELS = 4
_MOST_REPORTS = 10
_PAGE_HEAD = 8_192
"""Characters of a page that are searched; what the patterns cost grows with the square of it."""


class Report(Lax):
    """What any chunk may carry beside, or instead of, its content: a report of an error."""

    error: object = None
    code: object = None
    msg: object = None
    message: object = None
    detail: object = None
    error_message: object = Field(None, alias="errorMessage")
    errors: object = None
    status: object = None

    def failure(self, *, alone: bool) -> Failure | None:
        """Return the reported failure; `alone` says that the chunk has no content beside it."""
        if not self.error and not alone:
            return None
        told = {field.alias or name: getattr(self, name) for name, field in Report.model_fields.items()}
        return read_failure({key: value for key, value in told.items() if value is not None})


def read_failure(value: object) -> Failure | None:
    """Read a JSON value as an error report; `None` if it is not one."""
    return _read(value, levels=0)


def read_failure_body(body: str) -> Failure:
    """Read the body of a refusal, whatever it is; the message is empty if it says nothing."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return Failure(headline(body))
    failure = _read(value, levels=0)
    return failure if failure else Failure(without_surrogates(body.strip()))


def refusal(failure: Failure, status: int, *, path: str) -> Refused:
    """Return the error for an answer with `status` instead of a stream, or with an error at 200.

    `status` is the response's own; at 200 the status that the body names counts. If it names none,
    whose fault it is is not known, and it counts as RunAPI's.
    """
    known = _named_status(failure) if status == 200 else status
    kind = _kind(failure, known, path)
    said = quoted(failure.message) if failure.message else _MEANINGS.get(known or 200, "no reason was given")
    verb = "RunAPI refused the key" if kind is KeyRefused else "RunAPI refused the call"
    verb = "RunAPI no longer serves the model" if kind is ModelRetired else verb
    verb = "RunAPI failed" if kind is Unavailable and known != 408 else verb
    return kind(
        f"{verb} ({known or 'an error at status 200'}): {said}{_stop(said)}",
        advice=_advice(kind, failure, known, path),
        status=known,
        retry_after=failure.retry_after,
        hopeless=failure.hopeless,
    )


def midway(failure: Failure, *, partial: str) -> FailedMidway:
    """Return the error for a failure reported inside a stream."""
    named = f" ({failure.status})" if failure.status else ""
    said = quoted(failure.message) if failure.message else "no reason was given"
    return FailedMidway(
        f"RunAPI broke off its answer with an error{named}: {said}{_stop(said)}",
        partial=partial,
        status=failure.status,
        retry_after=failure.retry_after,
    )


def _stop(sentence: str) -> str:
    return "" if sentence.endswith((".", ".”")) else "."


def _named_status(failure: Failure) -> int | None:
    return failure.status if failure.status and failure.status >= 400 else None


def _kind(failure: Failure, status: int | None, path: str) -> type[Refused]:
    # Google says 400 INVALID_ARGUMENT for a wrong key and names it only in the details.
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
    return ModelRefused if _LACKS.search(head) and _ABILITY.search(head) else None


def _advice(kind: type[Refused], failure: Failure, status: int | None, path: str) -> str | None:
    if status is not None and status < 400:
        return "It was redirected, and a key is never sent after a redirect. Check RUNAPI_BASE_URL."
    if kind is NotFound and status == 404 and path.endswith("/chat/completions"):
        other = "/v1" if "/v1beta/openai" in path else "/v1beta/openai"
        return (
            f"list_models shows the models that exist. If every model fails, RunAPI may serve chat at "
            f"{other}: set RUNAPI_CHAT_PATH={other}."
        )
    if kind in (RateLimited, Unavailable) and failure.hopeless:
        return "It is a daily quota: waiting a little will not help; another model may."
    if kind in (RateLimited, Unavailable) and failure.retry_after is not None:
        return f"It asked for {math.ceil(failure.retry_after)} s; call again after that."
    return None


def _read(value: object, *, levels: int) -> Failure | None:
    if levels > _TOO_MANY_LEVELS:
        return None
    match value:
        case [single]:
            return _read(single, levels=levels + 1)
        case dict(report):
            return _from_report(report, levels=levels)
        case _:
            return None


def _from_report(report: JsonObject, *, levels: int) -> Failure | None:
    match report.get("error"):
        case dict(error) if error:
            return _from_object(error)
        case str(message) if message:
            return Failure(_with_fields(message, report), _status(report), _code(report))
        case [_, *_] as items:
            found = (_from_item(item, report, levels=levels + 1) for item in items[:_MOST_REPORTS])
            return next((failure for failure in found if failure), Failure(""))
        case _:
            return _from_top_level(report)


def _from_item(item: object, report: JsonObject, *, levels: int) -> Failure | None:
    """Read one of several errors in a list: a report of its own, or a message."""
    if isinstance(item, str) and item:
        return Failure(_with_fields(item, report), _status(report), _code(report))
    return _read(item, levels=levels)


def _from_object(error: JsonObject) -> Failure:
    details = _details(error)
    message = _message(error) or ""
    violations = [text for text in _field_violations(details) if text not in message]
    reason = next((str(d["reason"]) for d in details if isinstance(d.get("reason"), str)), None)
    return Failure(
        message=" ".join([message, *violations]).strip(),
        status=_status(error),
        code=reason or _code(error),
        retry_after=next((s for s in map(_retry_delay, details) if s is not None), None),
        hopeless=any("PerDay" in quota for quota in _quota_ids(details)),
    )


def _from_top_level(value: JsonObject) -> Failure | None:
    """Read ``{"code": 400, "msg": …}`` and its kin; a code of 0 or 2xx is a success."""
    message = _message(value)
    status = _status(value)
    if message is None or (status is None and "code" in value and not _code(value)):
        return None
    if status is not None and status < 300:
        return None
    return Failure(_with_fields(message, value), status, _code(value))


def _message(value: JsonObject) -> str | None:
    found = next((value[key] for key in _MESSAGE_KEYS if isinstance(value.get(key), str)), None)
    return without_surrogates(found) if isinstance(found, str) else None


def _with_fields(message: str, value: JsonObject) -> str:
    match value.get("errors"):
        case dict(fields):
            told = [f"{name}: {', '.join(_strings(why))}" for name, why in list(fields.items())[:10]]
            return without_surrogates("; ".join([message, *told]))
        case _:
            return without_surrogates(message)


def _strings(value: object) -> list[str]:
    return [item for item in (value if isinstance(value, list) else [value])[:10] if isinstance(item, str)]


def _status(value: JsonObject) -> int | None:
    match value.get("code"):
        case bool():
            return None
        case int(code) if 100 <= code <= 599:
            return code
        case _:
            named = value.get("status")
            canonical = _CANONICAL.get(named) if isinstance(named, str) else None
            return canonical or _CODED.get(_code(value) or "")


def _code(value: JsonObject) -> str | None:
    code = value.get("code")
    return code if isinstance(code, str) and code else None


def _details(error: JsonObject) -> list[JsonObject]:
    details = error.get("details")
    return [d for d in details if isinstance(d, dict)][:20] if isinstance(details, list) else []


def _objects(detail: JsonObject, key: str) -> Iterator[JsonObject]:
    items = detail.get(key)
    yield from (item for item in (items if isinstance(items, list) else [])[:10] if isinstance(item, dict))


def _field_violations(details: list[JsonObject]) -> list[str]:
    found = [v.get("description") for d in details for v in _objects(d, "fieldViolations")]
    return [without_surrogates(text) for text in found if isinstance(text, str)]


def _quota_ids(details: list[JsonObject]) -> list[str]:
    found = [v.get("quotaId") for d in details for v in _objects(d, "violations")]
    return [quota for quota in found if isinstance(quota, str)]


def _retry_delay(detail: JsonObject) -> float | None:
    delay = detail.get("retryDelay")
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", delay) if isinstance(delay, str) else None
    # A wait of no length is none, as in Retry-After.
    return float(found[1]) or None if found else None


def headline(body: str) -> str:
    """Return the title or first heading of a page, or the text of a body that is no page."""
    head = body[:_PAGE_HEAD]
    found = _HEADLINE.search(head)
    if found:
        return _MARKUP.sub(" ", found[2]).strip()
    return "" if "<html" in head.lower() else head.strip()
