"""Rate limits and passing unavailability, in every way the wait may be told."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from runapi_mcp.sim.play import Play
from runapi_mcp.sim.scenarios._registry import scenario
from runapi_mcp.sim.scene import JSON, Scene, body, compact

_MESSAGE = "Simulated: too many requests."
_WAIT = 0.2


def _wait(scene: Scene) -> str:
    return f"{scene.cue.number('seconds', _WAIT):g}"


def _limited(scene: Scene, headers: dict[str, str], *details: dict[str, object]) -> Play:
    error = scene.error(429, _MESSAGE, "rate_limited", list(details) or None)
    return body(429, JSON, compact(error), headers)


def _with_seconds(scene: Scene) -> Play:
    return _limited(scene, {"retry-after": _wait(scene)})


def _retry_info(scene: Scene) -> dict[str, object]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{_wait(scene)}s"}


def _google(scene: Scene, *details: dict[str, object]) -> Play:
    error = {"code": 429, "message": _MESSAGE, "status": "RESOURCE_EXHAUSTED", "details": list(details)}
    return body(429, JSON, compact([{"error": error}] if scene.chat else {"error": error}))


@scenario("rate-limit-seconds", "429 with Retry-After in seconds.", "seconds")
def rate_limit_seconds(scene: Scene) -> Play:
    """The usual header."""
    return _with_seconds(scene)


@scenario("rate-limit-date", "429 with Retry-After as an HTTP date (whole seconds from now).", "seconds")
def rate_limit_date(scene: Scene) -> Play:
    """The date is rounded up, so it is never in the past."""
    until = datetime.now(UTC) + timedelta(seconds=scene.cue.number("seconds", 1) + 0.999)
    return _limited(scene, {"retry-after": format_datetime(until, usegmt=True)})


@scenario("rate-limit-retryinfo", "429 with the wait only in RetryInfo.retryDelay of the body.", "seconds")
def rate_limit_retryinfo(scene: Scene) -> Play:
    """As Google does (docs/wire.md §3.3)."""
    return _google(scene, _retry_info(scene))


@scenario("rate-limit-words", "429 with the wait only in the words of the message.", "seconds")
def rate_limit_words(scene: Scene) -> Play:
    """As Google writes it, where a relay keeps the message alone (docs/wire.md §3.3)."""
    message = f"{_MESSAGE} Please retry in {_wait(scene)}s."
    return body(429, JSON, compact(scene.error(429, message, "rate_limited")))


@scenario("rate-limit-ms", "429 with the wait only in retry-after-ms.", "seconds")
def rate_limit_ms(scene: Scene) -> Play:
    """Azure's and LiteLLM's header (docs/wire.md §1.3)."""
    milliseconds = scene.cue.number("seconds", _WAIT) * 1000
    return _limited(scene, {"retry-after-ms": f"{milliseconds:g}"})


@scenario(
    "rate-limit-wrapped", "Google's 429 with RetryInfo as text in the metadata of a relay's 502.", "seconds"
)
def rate_limit_wrapped(scene: Scene) -> Play:
    """The relay's status says nothing of the wait (docs/wire.md §3.2)."""
    cause = {
        "code": 429,
        "message": _MESSAGE,
        "status": "RESOURCE_EXHAUSTED",
        "details": [_retry_info(scene)],
    }
    wrapped = {"raw": compact({"error": cause}), "provider_name": "simulated"}
    error = {"message": "Provider returned error", "code": 502, "metadata": wrapped}
    return body(502, JSON, compact({"error": error}))


@scenario("no-quota", "429 for a quota of nothing, with a retryDelay that misleads.", "seconds")
def no_quota(scene: Scene) -> Play:
    """`limit: 0`: the key may not use the model at all (docs/wire.md §3.3)."""
    message = "Simulated: quota exceeded for metric: free_tier_requests, limit: 0, model: simulated"
    error = {
        "code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": [_retry_info(scene)],
    }  # fmt: skip
    return body(429, JSON, compact({"error": error}))


@scenario("rate-limit-bare", "429 that does not say how long to wait.")
def rate_limit_bare(scene: Scene) -> Play:
    """No header, no detail."""
    return _limited(scene, {})


@scenario(
    "rate-limit-once", "429 with Retry-After the first time a question comes, an answer the next.", "seconds"
)
def rate_limit_once(scene: Scene) -> Play:
    """Every odd time."""
    return _with_seconds(scene) if scene.time % 2 else scene.tell()


@scenario("rate-limit-forever", "429 with Retry-After, however often one asks.", "seconds")
def rate_limit_forever(scene: Scene) -> Play:
    """As the server's default scenario it never lets anyone in."""
    return _with_seconds(scene)


@scenario("per-day-quota", "429 for a daily quota: waiting will not help.", "seconds")
def per_day_quota(scene: Scene) -> Play:
    """`QuotaFailure` with a per-day id, and a retryDelay that misleads."""
    failure: dict[str, object] = {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel", "quotaValue": "250"}],
    }
    return _google(scene, failure, _retry_info(scene))


@scenario("unavailable-once", "503 the first time a question comes, an answer the next.", "seconds")
def unavailable_once(scene: Scene) -> Play:
    """Every odd time; Retry-After tells the wait."""
    return _unavailable(scene) if scene.time % 2 else scene.tell()


@scenario("unavailable", "503 in JSON, however often one asks.", "seconds")
def unavailable(scene: Scene) -> Play:
    """No active channel."""
    return _unavailable(scene)


def _unavailable(scene: Scene) -> Play:
    error = scene.error(503, "Simulated: No active channel available.", "unavailable")
    return body(503, JSON, compact(error), {"retry-after": _wait(scene)})
