"""Checks of the way to RunAPI: is it there, TLS, the clock, the models, and one tiny call."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Final

import anyio

from runapi_mcp.doctor.local import Finding, Move, ok
from runapi_mcp.errors import KeyMissing, Refused, RunapiError, SettingsError, Unavailable, quoted
from runapi_mcp.models import ALIASES
from runapi_mcp.settings import DEFAULT_BASE_URL, Settings
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.upstream.http import Trace
from runapi_mcp.upstream.probe import Probe, probe
from runapi_mcp.wire.fold import Fold
from runapi_mcp.wire.types import Answer, Call, Text, Turn

_SKEW: Final = 60.0
_SOON: Final = 14 * 86_400.0
_CALL_SECONDS: Final = 60.0


async def check_reach(settings: Settings, now: Callable[[], datetime]) -> AsyncIterator[Finding]:
    """RunAPI answers, with TLS, as RunAPI would, and its clock and ours agree."""
    try:
        seen = await probe(settings)
    except SettingsError as error:
        yield Finding("reach", "fail", error.what, "yours", error.advice)
        return
    except RunapiError as error:
        advice = error.advice or "Check the network and RUNAPI_BASE_URL."
        yield Finding(
            "reach", "fail", error.what, "your network's", f"{advice} RUNAPI_BASE_URL is {settings.base_url}."
        )
        return
    yield _reach(seen, settings)
    if seen.tls:
        yield _tls(seen, now())
    yield _clock(seen, now())


def _reach(seen: Probe, settings: Settings) -> Finding:
    correct = (
        f"RUNAPI_BASE_URL is {settings.base_url} (the default is {DEFAULT_BASE_URL}), RUNAPI_CHAT_PATH "
        f"{settings.chat_path}: correct or unset them."
    )
    if seen.html:
        what = f"{seen.url} answered {seen.status} with a web page: a proxy, a login page, or no RunAPI."
        mend = f"Check HTTPS_PROXY and the network's login page. {correct}"
        return Finding("reach", "fail", what, "your network's", mend)
    if seen.status == 404:
        return Finding("reach", "fail", f"{seen.url} does not exist (404).", "yours", correct)
    if seen.status >= 500:
        what = f"{seen.url} answered {seen.status}{f': {quoted(seen.start)}' if seen.start.strip() else '.'}"
        return Finding("reach", "fail", what, "RunAPI's", "Try again in a minute.")
    return ok("reach", f"{seen.url} answered in {seen.seconds:.2f} s")


def _tls(seen: Probe, now: datetime) -> Finding:
    left = (seen.certificate_until - now).total_seconds() if seen.certificate_until else None
    if left is not None and left < _SOON:
        what = f"{seen.tls}; the certificate ends in {left / 86_400:.0f} days."
        return Finding("tls", "warn", what, "RunAPI's", "If a proxy of yours made it, renew it.")
    return ok("tls", seen.tls)


def _clock(seen: Probe, now: datetime) -> Finding:
    if seen.date is None:
        return Finding("clock", "skipped", "RunAPI did not say what time it is.")
    skew = (now - seen.date).total_seconds()
    if abs(skew) > _SKEW:
        what = f"This machine's clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}."
        mend = "Set the clock (by NTP): certificates and the waits RunAPI asks for go by it."
        return Finding("clock", "fail" if abs(skew) > 3600 else "warn", what, "yours", mend)
    return ok("clock", f"within {max(abs(skew), 1):.0f} s of RunAPI's")


async def check_models(settings: Settings, upstream: Upstream) -> AsyncIterator[Finding]:
    """RunAPI accepts the key, and the models that the tools use exist."""
    try:
        live = await upstream.models(key=settings.need_key())
    except RunapiError as error:
        yield _refused("models", error)
        return
    ids = {model.id for model in live}
    yield ok("models", f"RunAPI accepts the key; {len(ids)} Gemini models")
    wanted = {"RUNAPI_MCP_MODEL": settings.model, "RUNAPI_MCP_SEARCH_MODEL": settings.search_model}
    for variable, model in wanted.items():
        if not {model, ALIASES.get(model, model)} & ids:
            yield _gone(variable, model, sorted(ids))


def _gone(variable: str, model: str, ids: list[str]) -> Finding:
    some = ", ".join(ids[:8]) + (" …" if len(ids) > 8 else "")
    return Finding(
        "models",
        "fail",
        f"{model} is not among the models RunAPI serves to this key.",
        "yours",
        f"Set {variable} to one that is: {some}.",
    )


async def check_call(settings: Settings, upstream: Upstream, clock: Callable[[], float]) -> Finding:
    """One tiny call streams to its end."""
    trace, began = Trace(), clock()
    try:
        with anyio.fail_after(_CALL_SECONDS):
            answer = await _tiny(settings, upstream, trace)
    except TimeoutError:
        return Finding(
            "call",
            "fail",
            f"No answer within {_CALL_SECONDS:g} s.",
            "RunAPI's",
            "Try again, or another model.",
        )
    except RunapiError as error:
        return _refused("call", error)
    first = (trace.first_byte_at or clock()) - began
    tokens = f", {answer.usage.output} tokens" if answer.usage and answer.usage.output else ""
    return ok(
        "call",
        f"{settings.model}: first byte after {first:.2f} s, done after {clock() - began:.2f} s{tokens}",
    )


async def _tiny(settings: Settings, upstream: Upstream, trace: Trace) -> Answer:
    call = Call(model=settings.model, turns=(Turn("user", (Text("Answer with the one word: yes"),)),))
    fold = Fold()
    async with upstream.stream(
        call, settings.dialect, key=settings.need_key(), trace=trace, patience=0.0
    ) as events:
        async for event in events:
            fold.feed(event)
    return fold.answer()


def _refused(check: str, error: RunapiError) -> Finding:
    move: Move = "yours"
    if isinstance(error, Unavailable) or not isinstance(error, Refused | SettingsError | KeyMissing):
        move = "RunAPI's"
    return Finding(check, "fail", error.what, move, error.advice or "Try again.")
