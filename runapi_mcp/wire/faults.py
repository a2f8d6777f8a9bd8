"""Upstream's reports of errors, in every shape and wrapping they come in → :class:`Failure`.

The shapes are those of docs/wire.md §3.2 (a–j): a string, an object with a string or an
integer code, Google's with details, any of them in a one-element array, a bare ``message`` or
``msg``, an HTML page, nothing at all. Relays put one report into another, as an object or as JSON in
a text, once or several times; then the innermost says what was wrong.
"""

import ast
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final

from pydantic import Field

from runapi_mcp.wire.json_text import without_surrogates
from runapi_mcp.wire.lax import Lax
from runapi_mcp.wire.types import Failure, JsonObject

_CANONICAL = {
    "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404,
    "ABORTED": 409, "ALREADY_EXISTS": 409, "RESOURCE_EXHAUSTED": 429, "CANCELLED": 499,
    "INTERNAL": 500, "UNKNOWN": 500, "DATA_LOSS": 500, "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}  # fmt: skip
"""Google's canonical statuses as HTTP statuses (docs/wire.md §3.3)."""
_CODED = {
    "invalid_resource_id": 400, "request_conflict": 409, "source_task_not_ready": 409,
    "source_task_unusable": 422, "continuation_not_supported": 422, "rate_limited": 429,
    "continuation_unavailable": 503, "model_retired": 410, "model_not_found": 404,
    # Of relays, for a prompt that a filter refused, and in a stream without a number.
    "content_policy_violation": 400, "content_filter": 400, "prompt_blocked": 400,
}  # fmt: skip
"""RunAPI's own codes as the HTTP statuses that they come with (docs/wire.md §3.1)."""
_MESSAGE_KEYS = ("message", "detail", "errorMessage", "msg", "error_description")
_DEEPEST: Final = 5
"""How many reports may stand in one another: a relay's, the next one's, Google's, each as text or not."""
_MOST_REPORTS: Final = 10
_MOST_STARTS: Final = 8
_TEXT_HEAD: Final = 65_536
"""Characters of a text that are searched for a report."""
_WORDS_HEAD: Final = 8_192
_LITERAL_HEAD: Final = 16_384
_LONGEST_OUTER: Final = 100
"""Characters of a relay's own words that may stand before the cause, which is what must not be cut."""

_HEADLINE = re.compile(r"<(title|h1)[^>]*>(.*?)</\1>", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"<[^>]*>")
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

    def failure(self) -> Failure | None:
        """Return the reported failure, of a chunk that has an error or no content beside it."""
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
        # A report after a relay's own words, or in the lines of a stream.
        return _unwrap(body, levels=0) or _own(headline(body), {})
    failure = _read(value, levels=0)
    return failure if failure else Failure(without_surrogates(body.strip()))


def headline(body: str) -> str:
    """Return the title or first heading of a page, or the text of a body that is no page."""
    head = body[:_PAGE_HEAD]
    found = _HEADLINE.search(head)
    if found:
        return _MARKUP.sub(" ", found[2]).strip()
    return "" if "<html" in head.lower() else head.strip()


# ---------------------------------------------------------------- one report


def _read(value: object, *, levels: int) -> Failure | None:
    if levels > _DEEPEST:
        return None
    match value:
        # Google's OpenAI layer puts a report into an array (docs/wire.md §3.2 f).
        case [single]:
            return _read(single, levels=levels + 1)
        case dict(report):
            return _from_report(report, levels=levels)
        case _:
            return None


def _from_report(report: JsonObject, *, levels: int) -> Failure | None:
    match report.get("error"):
        case dict(error) if error:
            # A wait may stand beside the error instead of in it.
            return _from_object({**_waits_beside(report), **error}, levels=levels)
        case str(message) if message:
            return _from_object({**report, "error": None, "message": message}, levels=levels)
        case [_, *_] as items:
            found = (_from_item(item, report, levels=levels + 1) for item in items[:_MOST_REPORTS])
            return next((failure for failure in found if failure), Failure(""))
        case _:
            return _from_top_level(report, levels=levels)


def _from_item(item: object, report: JsonObject, *, levels: int) -> Failure | None:
    """Read one of several errors in a list: a report of its own, or a message."""
    if isinstance(item, str) and item:
        return _own(_with_fields(item, report), report)
    return _read(item, levels=levels)


def _from_object(error: JsonObject, *, levels: int) -> Failure:
    own = _own(_with_fields(_message(error) or "", error), error)
    if inside := _unwrap(own.message, levels=levels + 1):
        return _add_cause(own, inside, inside.message or own.message)
    around = (value for key, value in error.items() if key not in _MESSAGE_KEYS or not isinstance(value, str))
    if beside := _first(around, levels=levels + 1):
        return _add_cause(own, beside, _join(own.message, beside.message))
    return own


def _from_top_level(value: JsonObject, *, levels: int) -> Failure | None:
    """Read ``{"code": 400, "msg": …}`` and its kin; a code of 0 or 2xx is a success."""
    status = _status(value)
    if status is None and "code" in value and not _code(value) and not _is_own_code(value):
        return None
    if status is not None and status < 300:
        return None
    if _message(value) is None:
        # FastAPI has a list or an object where others have a text.
        told = next((value[key] for key in _MESSAGE_KEYS if isinstance(value.get(key), dict | list)), None)
        inner = _first(told if isinstance(told, list) else [told], levels=levels + 1)
        return _add_cause(_own("", value), inner, inner.message) if inner else None
    return _from_object(value, levels=levels)


_FINE: Final = re.compile(r"\W*(?:ok|okay|success|succeeded|successful|成功)\b", re.IGNORECASE)


def _is_own_code(value: JsonObject) -> bool:
    """Whether a code is a number of a relay's own for a failure: no success has one, and says otherwise."""
    code, said = value.get("code"), _message(value)
    counts = isinstance(code, int) and not isinstance(code, bool) and code not in (0, 1)
    return counts and bool(said) and not _FINE.match(said or "")


def _own(message: str, error: JsonObject) -> Failure:
    """Return what a report says itself, whatever others may stand in it."""
    details = _details(error)
    violations = [text for text in _field_violations(details) if text not in message]
    # It tells a wrong key from a wrong request (docs/wire.md §3.3).
    reason = next((str(d["reason"]) for d in details if isinstance(d.get("reason"), str)), None)
    return Failure(
        message=" ".join([message, *violations]).strip(),
        status=_status(error),
        code=reason or _code(error),
        retry_after=_wait(message, error, details),
        hopeless=_is_hopeless(message, error, details),
    )


def _message(value: JsonObject) -> str | None:
    found = next((value[key] for key in _MESSAGE_KEYS if isinstance(value.get(key), str)), None)
    return without_surrogates(found) if isinstance(found, str) else None


def _with_fields(message: str, value: JsonObject) -> str:
    # What RunAPI's validation says of each field (docs/wire.md §3.2 b).
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
        case str(code) if code.isascii() and code.isdigit() and 100 <= int(code[:4]) <= 599:
            return int(code)
        case _:
            # Google's word may come without its number (docs/wire.md §3.3).
            named = value.get("status")
            canonical = _CANONICAL.get(named) if isinstance(named, str) else None
            return canonical or _CODED.get(_code(value) or "")


def _code(value: JsonObject) -> str | None:
    code = value.get("code")
    return code if isinstance(code, str) and code and not code.isdigit() else None


def _details(error: JsonObject) -> list[JsonObject]:
    details = error.get("details")
    return [d for d in details if isinstance(d, dict)][:20] if isinstance(details, list) else []


def _objects(detail: JsonObject, key: str) -> Iterator[JsonObject]:
    items = detail.get(key)
    yield from (item for item in (items if isinstance(items, list) else [])[:10] if isinstance(item, dict))


def _field_violations(details: list[JsonObject]) -> list[str]:
    found = [v.get("description") for d in details for v in _objects(d, "fieldViolations")]
    return [without_surrogates(text) for text in found if isinstance(text, str)]


# ---------------------------------------------------------------- a report inside another


def _first(values: Iterable[object], *, levels: int) -> Failure | None:
    """Return the first report with words among values."""
    found = (_unwrap(value, levels=levels) for _, value in zip(range(_MOST_REPORTS), values, strict=False))
    return next((failure for failure in found if failure and failure.message), None)


def _unwrap(value: object, *, levels: int) -> Failure | None:
    """Return the report that a value of another report is or holds, an object or a text."""
    if levels > _DEEPEST:
        return None
    match value:
        case str(text):
            return _from_text(text[:_TEXT_HEAD], levels=levels)
        case dict(held):
            return _read(held, levels=levels) or _from_metadata(held, levels=levels)
        case [_]:
            return _read(value, levels=levels)
        case _:
            return None


def _from_metadata(held: JsonObject, *, levels: int) -> Failure | None:
    if found := _first(held.values(), levels=levels + 1):
        return found
    # OpenRouter's "Provider returned error" has the provider's words here, JSON or not.
    raw = held.get("raw")
    return _own(headline(without_surrogates(raw)), {}) if isinstance(raw, str) else None


def _from_text(text: str, *, levels: int) -> Failure | None:
    if "{" not in text:
        return None
    spellings = _spellings(text)
    for spelled in spellings:
        # JSON that is all of the text is the report; among words it may be what somebody sent.
        alone = spelled.lstrip().startswith(("{", "["))
        for document in _documents(spelled):
            if (alone or _is_report(document)) and (found := _read(document, levels=levels)):
                return found
    return _from_torn(spellings) if '"error' in spellings[-1] else None


def _spellings(text: str) -> list[str]:
    """Return a text as it is, and without the escapes of one or two strings that it was printed in."""
    spellings = [text]
    while len(spellings) <= 2 and ('\\"' in spellings[-1] or "\\n" in spellings[-1]):
        spellings.append(_ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), spellings[-1]))
    return spellings


_ESCAPE = re.compile(r"\\([\\\"'/nrt])")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def _documents(text: str) -> Iterator[object]:
    """Yield the JSON objects and arrays in a text, or Python's spelling of one, which LiteLLM prints."""
    decoder = json.JSONDecoder()
    position = 0
    for _ in range(_MOST_STARTS):
        found = _OPENING.search(text, position)
        if not found:
            break
        try:
            document, position = decoder.raw_decode(text, found.start())
        except (ValueError, RecursionError):
            position = found.start() + 1
            continue
        yield document
    start, end = text.find("{"), text.rfind("}") + 1
    if "'" in text and 0 < end - start <= _LITERAL_HEAD:
        try:
            yield ast.literal_eval(text[start:end])
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return


_OPENING = re.compile(r"[{\[]")


def _is_report(document: object) -> bool:
    """Whether JSON in a text is a report of an error, and not what somebody sent."""
    match document:
        case [single]:
            return _is_report(single)
        case dict():
            told = any(key in document for key in _MESSAGE_KEYS)
            return "error" in document or (
                told and any(key in document for key in ("code", "status", "type"))
            )
        case _:
            return False


def _from_torn(spellings: list[str]) -> Failure | None:
    """Read the words of a report whose JSON was cut short on the way."""
    for spelled in reversed(spellings):
        for found in _TORN.finditer(spelled):
            if "{" not in found[1]:
                return _own(without_surrogates(_ESCAPE.sub(r"\1", found[1])), {"message": spelled})
    return None


_TORN = re.compile(r'"(?:message|msg)"\s{0,9}:\s{0,9}"((?:[^"\\]|\\.){1,4000})')


def _add_cause(own: Failure, cause: Failure, message: str) -> Failure:
    """Return a report together with the one in it, which is nearer to what was wrong."""
    return Failure(
        message,
        cause.status or own.status,
        own.code if own.code in _CODED else cause.code or own.code,
        own.retry_after if cause.retry_after is None else cause.retry_after,
        own.hopeless or cause.hopeless,
    )


def _join(outer: str, inner: str) -> str:
    if inner in outer:
        return outer
    if not outer or outer in inner or len(outer) > _LONGEST_OUTER:
        return inner
    return f"{outer.rstrip(' .:')}: {inner}"


# ---------------------------------------------------------------- waits

_NUMBER = r"\d{1,9}(?:\.\d{1,9})?"
_UNIT = r"(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)(?![A-Za-z])"
_DURATION = re.compile(rf"({_NUMBER})\s?({_UNIT})", re.IGNORECASE)
_WAIT_IN_WORDS = re.compile(
    r"\b(?:retry|try again|retried|wait|resets?|available again|retry_?delay|retry_?after)\b[\"':{\s=]{0,8}"
    r"(?:in |after |for |seconds[\"':\s=]{1,4})?(?:about |at least )?"
    rf"((?:{_NUMBER}\s?{_UNIT}(?:,? (?:and )?)?){{1,4}}|{_NUMBER}(?!\s?[A-Za-z\d.]))",
    re.IGNORECASE,
)
_SECONDS_KEYS = (
    "retryDelay",
    "retry_delay",
    "retry_after",
    "retryAfter",
    "retry_after_seconds",
    "retry-after",
)
_RESET_KEYS = ("quotaResetDelay",)
"""Where Code Assist has it, in its ErrorInfo, and no RetryInfo (router-for-me/CLIProxyAPI#449)."""
_MILLISECONDS_KEYS = ("retry_after_ms", "retryAfterMs", "retry-after-ms")
_DAILY = re.compile(r"per[ _-]?day\b|perday|\bdaily\b", re.IGNORECASE)
_SHORTER = re.compile(r"per[ _-]?(?:minute|second|hour)", re.IGNORECASE)
_NOTHING_ALLOWED = re.compile(r"\blimit: ?0(?![\d.]*\d)")


def allows_nothing(message: str) -> bool:
    """Whether Google's words say that the quota is zero: the key may not use the model at all."""
    return _NOTHING_ALLOWED.search(message[:_WORDS_HEAD]) is not None


def read_wait(told: object) -> float | None:
    """Return seconds from a number, ``"1.2s"``, ``"1m30s"`` or protobuf's object; `None` if it is no wait."""
    match told:
        case bool():
            return None
        case int() | float():
            # A wait of no length is none, as in Retry-After; NaN is above nothing.
            return float(told) if 0 < told < 1e9 else None
        case {"seconds": int() | float() | str() as seconds, **rest}:
            nanos = rest.get("nanos")
            whole = read_wait(seconds) or 0.0
            return read_wait(whole + (nanos / 1e9 if isinstance(nanos, int) and 0 <= nanos < 10**9 else 0.0))
        case str(text) if re.fullmatch(_NUMBER, text.strip()):
            return float(text) or None
        case str(text) if re.fullmatch(
            rf"(?:{_NUMBER}\s?{_UNIT}(?:,? (?:and )?)?){{1,4}}", text.strip(), re.IGNORECASE
        ):
            return _sum(text)
        case _:
            return None


def _sum(durations: str) -> float | None:
    return sum(float(n) * _seconds_of(unit.lower()) for n, unit in _DURATION.findall(durations)) or None


def _seconds_of(unit: str) -> float:
    if unit.startswith(("ms", "milli")):
        return 0.001
    return {"s": 1.0, "m": 60.0, "h": 3600.0}[unit[0]]


def _waits_beside(report: JsonObject) -> JsonObject:
    return {key: report[key] for key in (*_SECONDS_KEYS, *_MILLISECONDS_KEYS) if key in report}


def _wait(message: str, error: JsonObject, details: list[JsonObject]) -> float | None:
    """Return the seconds that a report asks for, in its details, its fields or its words: the longest.

    Google's RetryInfo can be the wait in its words without its fraction, and then comes too early
    (googleapis/python-genai#2114).
    """
    metadata = error.get("metadata")
    headers = metadata.get("headers") if isinstance(metadata, dict) else None
    places = (*details, *(detail.get("metadata") for detail in details), error, metadata, headers)
    told = [_wait_in(place) for place in places if isinstance(place, dict)]
    words = _WAIT_IN_WORDS.search(message[:_WORDS_HEAD])
    told.append((read_wait(words[1].strip(" ,")) or _sum(words[1])) if words else None)
    return max((seconds for seconds in told if seconds), default=None)


def _wait_in(place: JsonObject) -> float | None:
    spelled = {key.lower() if key.lower().startswith("retry-") else key: key for key in list(place)[:50]}
    for key in _MILLISECONDS_KEYS:
        if key in spelled and (told := read_wait(place[spelled[key]])):
            return told / 1000
    return next(
        (
            s
            for key in (*_SECONDS_KEYS, *_RESET_KEYS)
            if key in spelled and (s := read_wait(place[spelled[key]]))
        ),
        None,
    )


def _is_hopeless(message: str, error: JsonObject, details: list[JsonObject]) -> bool:
    """Whether no wait of minutes helps: a quota of the day, or one of nothing."""
    if any("PerDay" in quota for quota in _quota_ids(details)) or error.get("code") == "insufficient_quota":
        return True
    words = message[:_WORDS_HEAD]
    daily = _DAILY.search(words) is not None and not _SHORTER.search(words)
    return daily or allows_nothing(words)


def _quota_ids(details: list[JsonObject]) -> list[str]:
    found = [v.get("quotaId") for d in details for v in _objects(d, "violations")]
    return [quota for quota in found if isinstance(quota, str)]
