"""Checks of the network: the way to RunAPI, its models, a tiny call; and how another server meets a host."""

import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import anyio

from runapi_mcp import __version__
from runapi_mcp.doctor.local import Finding, Move, ok
from runapi_mcp.errors import (
    KeyMissing,
    ModelRefused,
    NotFound,
    Refused,
    RunapiError,
    SettingsError,
    Unavailable,
)
from runapi_mcp.generations.choice import Choice
from runapi_mcp.generations.store import open_local, store_folder
from runapi_mcp.generations.store.engine import Down
from runapi_mcp.generations.store.replica import Replica
from runapi_mcp.generations.store.sqlite import FILE
from runapi_mcp.generations.values import Job, View
from runapi_mcp.models import (
    ANSWERING,
    AUTO,
    SEARCHING,
    WISHES,
    candidates,
    choose_dialect,
    find,
    has_ended,
    is_version_of,
)
from runapi_mcp.printable import quote_text
from runapi_mcp.settings import CHAT_PATHS, DEFAULT_BASE_URL, Settings
from runapi_mcp.tools.tool import choose_model
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.upstream.http import Trace
from runapi_mcp.upstream.model_list import Listing
from runapi_mcp.upstream.probe import Probe, Reply, ask_server, probe
from runapi_mcp.wire.fold import Fold
from runapi_mcp.wire.types import Answer, Call, Text, Turn

_SKEW: Final = 60.0
_SOON: Final = 14 * 86_400.0
_CALL_SECONDS: Final = 60.0
_MOST_LOOKED_AT: Final = 50
_OWNER: Final = "local"
"""Who everybody is that uses a process of this user's own."""


async def check_reach(settings: Settings, now: Callable[[], datetime]) -> AsyncIterator[Finding]:
    """RunAPI answers, with TLS, as RunAPI would, and its clock and ours agree."""
    first, *others = settings.chat_paths
    try:
        seen = await probe(settings, first)
        if seen.status == 404:
            others = others or [root for root in CHAT_PATHS if root != first]
            there = [root for root in others if _is_there(await probe(settings, root))]
            yield _judge_elsewhere(seen, settings, there)
        else:
            yield _judge_reach(seen, settings)
    except SettingsError as error:
        yield Finding("reach", "fail", error.what, "yours", error.advice)
        return
    except RunapiError as error:
        advice = error.advice or "Check the network and RUNAPI_BASE_URL."
        yield Finding(
            "reach", "fail", error.what, "your network's", f"{advice} RUNAPI_BASE_URL is {settings.base_url}."
        )
        return
    if seen.tls:
        yield _judge_certificate(seen, now())
    yield _judge_clock(seen, now())


def _is_there(seen: Probe) -> bool:
    return seen.status < 500 and seen.status != 404 and not seen.html


def _judge_elsewhere(seen: Probe, settings: Settings, there: list[str]) -> Finding:
    """Return what it means that the path in use does not exist, and these others do."""
    if not there:
        what = f"{seen.url} does not exist (404), nor any other path that RunAPI's chat has."
        mend = f"Correct or unset RUNAPI_BASE_URL: it is {settings.base_url} (default {DEFAULT_BASE_URL})."
        return Finding("reach", "fail", what, "yours", mend)
    if settings.chat_path == AUTO:
        return ok("reach", f"RunAPI serves chat at {there[0]} alone: the server finds that by itself")
    what = f"{seen.url} does not exist (404); RunAPI serves chat at {' and '.join(there)}."
    mend = f"Unset RUNAPI_CHAT_PATH, or set it to {there[0]}: it is {settings.chat_path}."
    return Finding("reach", "fail", what, "yours", mend)


def _judge_reach(seen: Probe, settings: Settings) -> Finding:
    if seen.html:
        what = f"{seen.url} answered {seen.status} with a web page: a proxy, a login page, or no RunAPI."
        mend = (
            "Check HTTPS_PROXY and the network's login page, and RUNAPI_BASE_URL: it is "
            f"{settings.base_url} (default {DEFAULT_BASE_URL})."
        )
        return Finding("reach", "fail", what, "your network's", mend)
    if seen.status >= 500:
        what = (
            f"{seen.url} answered {seen.status}{f': {quote_text(seen.start)}' if seen.start.strip() else '.'}"
        )
        return Finding("reach", "fail", what, "RunAPI's", "Try again in a minute.")
    return ok("reach", f"{seen.url} answered in {seen.seconds:.2f} s")


def _judge_certificate(seen: Probe, now: datetime) -> Finding:
    left = (seen.certificate_until - now).total_seconds() if seen.certificate_until else None
    if left is not None and left < _SOON:
        what = f"{seen.tls}; the certificate ends in {left / 86_400:.0f} days."
        return Finding("tls", "warn", what, "RunAPI's", "If a proxy of yours made it, renew it.")
    return ok("tls", seen.tls)


def _judge_clock(seen: Probe, now: datetime) -> Finding:
    if seen.date is None:
        return Finding("clock", "skipped", "RunAPI did not say what time it is.")
    skew = (now - seen.date).total_seconds()
    if abs(skew) > _SKEW:
        what = f"This machine's clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}."
        mend = "Set the clock (by NTP): certificates and the waits RunAPI asks for go by it."
        return Finding("clock", "fail" if abs(skew) > 3600 else "warn", what, "yours", mend)
    return ok("clock", f"within {max(abs(skew), 1):.0f} s of RunAPI's")


async def check_models(
    settings: Settings, upstream: Upstream, now: Callable[[], datetime]
) -> AsyncIterator[Finding]:
    """RunAPI accepts the key, and has the models that the tools use."""
    try:
        listing = await upstream.models(key=settings.need_key())
    except RunapiError as error:
        yield _explain("models", error)
        return
    others = f", and {len(listing.others)} of other vendors" if listing.others else ""
    yield ok("models", f"RunAPI accepts the key; {len(listing.models)} Gemini models{others}")
    for use in _list_uses(settings):
        yield use.check_list(listing)
        if listing.has(use.models[0]) and (ends := use.check_ending(now().date())) is not None:
            yield ends


@dataclass(frozen=True, slots=True)
class _Use:
    """One use of models: its variable, what it is set to, and the models that stand for that."""

    purpose: str
    variable: str
    setting: str
    models: tuple[str, ...]

    @property
    def chosen_here(self) -> bool:
        """Whether the server may leave a model for another."""
        return self.setting in (AUTO, *WISHES)

    def check_list(self, listing: Listing) -> Finding:
        """Say whether the list has what is used."""
        first, ids = self.models[0], list(listing.ids)
        listed = [model for model in self.models if listing.has(model)]
        if first in listed:
            return ok("defaults", f"{self.purpose} go to {first}")
        if listed:
            said = f"{first} is not among the models RunAPI lists to this key; {self.purpose} may go to"
            mend = f"Nothing need be done; {self.variable}={listed[0]} makes it certain."
            return Finding("defaults", "warn", f"{said} {listed[0]}.", "yours", mend)
        what = f"{first} is not among the models RunAPI lists to this key."
        if self.chosen_here:
            what = f"None of the models that {self.purpose} go to is among those RunAPI lists to this key."
        some = ", ".join(ids[:8]) + (" …" if len(ids) > 8 else "")
        row = find(first)
        successor = row.successor if row is not None and listing.has(row.successor) else ""
        mend = f"Set {self.variable} to one that is: {successor or some}"
        mend += "." if self.chosen_here else "; or unset it: the server then takes one that is."
        return Finding("defaults", "fail", what, "yours", mend)

    def check_ending(self, today: date) -> Finding | None:
        """Say when what is used ends, if that is known."""
        first, row = self.models[0], find(self.models[0])
        if row is None or row.ends is None:
            return None
        when = f"{first} {'ended' if has_ended(first, today) else 'ends'} at its vendor on {row.ends}"
        if self.chosen_here:
            following = f", and then {self.models[1]}" if len(self.models) > 1 else ""
            said = "the server asks it for as long as RunAPI serves it"
            return ok("defaults", f"{when}: {said}{following}, and says when another answers in its name")
        mend = f"Unset {self.variable}, or set it to another: its successor is {row.successor}."
        return Finding("defaults", "warn", f"{when}; {self.variable} names it.", "yours", mend)


async def check_searches(settings: Settings, env: Mapping[str, str]) -> Finding:
    """What came of this machine's last search: only one shows whether RunAPI refuses it, and it is billed.

    Args:
        settings: The settings as the server has them: whose key and base URL the searches are of.
        env: The environment, which says where they are kept.
    """
    *_, use = _list_uses(settings)
    last = await _last_search(settings, env)
    if last is None:
        what = "Not tried: a search is billed, and none of the last day is kept here."
        if use.chosen_here and len(use.models) > 1:
            what += f" Where RunAPI refuses {use.models[0]} one, {' or '.join(use.models[1:])} is asked."
        return Finding("searches", "skipped", what)
    model, first = last.receipt.model_asked, last.job.call.model
    if isinstance(last.error, NotFound | ModelRefused):
        what = f"The last one was refused: {last.error.what}"
        left = use.models[use.models.index(model) + 1 :] if model in use.models else ()
        mend = f"Set {use.variable}={left[0]}, or name a model." if left else last.error.advice
        return Finding("searches", "warn", what, "yours", mend)
    if last.receipt.swapped:
        what = f"{model} was asked last, and RunAPI says that {quote_text(last.receipt.model)} answered."
        return Finding(
            "searches", "warn", what, "yours", f"Set {use.variable} to a model that answers itself."
        )
    if model != first:
        what = f"The last one was answered by {model}: RunAPI refused {first}, or does not list it."
        mend = f"Nothing need be done; {use.variable}={model} makes it certain."
        return Finding("searches", "warn", what, "yours", mend)
    return ok("searches", f"the last one was answered by {model}")


async def _last_search(settings: Settings, env: Mapping[str, str]) -> View | None:
    """Return the last search of this machine that a model was chosen for here, if one came to an end."""
    folder = store_folder(settings, env)
    if not isinstance(folder, Path) or not (folder / FILE).exists():
        return None  # to look is no reason to make one
    engine = open_local(settings, env, time.monotonic)
    if engine is None:
        return None
    try:
        for handle in await engine.recent(_OWNER, _MOST_LOOKED_AT):
            found = await Replica.load(engine, handle, _OWNER)
            if found is not None and _is_telling(view := found.view(), settings.search_model):
                return view
    except Down:
        return None  # the check of the store says why
    finally:
        await engine.aclose()
    return None


def _is_telling(view: View, setting: str) -> bool:
    job = view.job
    if job.tool != "search_web" or job.arguments.get("model") or not view.receipt.model_asked:
        return False
    ended = view.status == "complete" or isinstance(view.error, NotFound | ModelRefused)
    return ended and (job.wish == setting if setting in (AUTO, *WISHES) else job.call.model == setting)


def _list_uses(settings: Settings) -> Iterator[_Use]:
    model, search = settings.model, settings.search_model
    yield _Use("answers", "RUNAPI_MCP_MODEL", model, candidates(model, ANSWERING, (), None))
    yield _Use("searches", "RUNAPI_MCP_SEARCH_MODEL", search, candidates(search, SEARCHING, ["search"], None))


async def check_call(settings: Settings, upstream: Upstream, clock: Callable[[], float]) -> Finding:
    """One tiny call streams to its end."""
    trace, began = Trace(), clock()
    try:
        with anyio.fail_after(_CALL_SECONDS):
            answer, choice = await _make_call(settings, upstream, trace)
    except TimeoutError:
        return Finding(
            "call",
            "fail",
            f"No answer within {_CALL_SECONDS:g} s.",
            "RunAPI's",
            "Try again, or another model.",
        )
    except RunapiError as error:
        return _explain("call", error)
    first = (trace.first_byte_at or clock()) - began
    tokens = f", {answer.usage.output} tokens" if answer.usage and answer.usage.output else ""
    served = answer.model or choice.model
    if not is_version_of(served, choice.model):
        what = f"{choice.model} was asked, and RunAPI says that {quote_text(served)} answered."
        return Finding("call", "warn", what, "yours", "Set RUNAPI_MCP_MODEL to a model that answers itself.")
    if choice.notices:
        mend = f"Nothing need be done; RUNAPI_MCP_MODEL={choice.model} makes it certain."
        return Finding("call", "warn", " ".join(choice.notices), "yours", mend)
    took = f"first byte after {first:.2f} s, done after {clock() - began:.2f} s{tokens}"
    return ok("call", f"{choice.model} at {upstream.chat_path}: {took}")


async def _make_call(settings: Settings, upstream: Upstream, trace: Trace) -> tuple[Answer, Choice]:
    """Make the tiny call, to the model that a tool's call would come to."""
    chosen = choose_model(None, settings.model, ANSWERING, ())
    call = Call(model=chosen.model, turns=(Turn("user", (Text("Answer with the one word: yes"),)),))
    dialect = choose_dialect(chosen.model, (), settings.dialect)
    job = Job("ask_gemini", {}, call, dialect, _OWNER, wish=chosen.wish, others=chosen.others)
    choice = Choice(job, upstream, settings.need_key(), trace)
    await choice.begin()
    while True:
        try:
            return await _get_answer(choice, call, settings, upstream, trace), choice
        except (NotFound, ModelRefused) as refused:
            await choice.turn_from(refused)


async def _get_answer(
    choice: Choice, call: Call, settings: Settings, upstream: Upstream, trace: Trace
) -> Answer:
    fold = Fold()
    async with upstream.stream(
        choice.call(call),
        choice.dialect,
        key=settings.need_key(),
        trace=trace,
        patience=0.0,
        ending=fold.ending,
    ) as events:
        async for several in events:
            for event in several:
                fold.feed(event)
    return fold.answer()


def _explain(check: str, error: RunapiError) -> Finding:
    move: Move = "yours"
    if isinstance(error, Unavailable) or not isinstance(error, Refused | SettingsError | KeyMissing):
        move = "RunAPI's"
    return Finding(check, "fail", error.what, move, error.advice or "Try again.")


# ---------------------------------------------------------------- another server


HELLO: Final = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "runapi-mcp-doctor", "version": __version__},
}
"""What a server is greeted with, as most hosts do it."""
_MOST_WORDS: Final = 300
_WHO: Final = (401, 403, 421)


@dataclass(frozen=True, slots=True)
class Met:
    """What was seen.

    Attributes:
        problem: Why there are no tools; empty if there are.
        mend: What mends it.
        tools: Their names.
    """

    problem: str = ""
    mend: str = ""
    tools: tuple[str, ...] = ()


async def meet(url: str, token: str, *, events: bool) -> Met:
    """Return what a host sees of a server; `events` if the host takes it for one of the older SSE."""
    try:
        return await (_open(url, token) if events else _greet(url, token))
    except RunapiError as error:
        return Met(error.what, "Start the server, or correct the address in the config.")


async def _open(url: str, token: str) -> Met:
    """Open the stream of events, which is all that can be seen without holding it."""
    reply = await ask_server(url, token, None)
    if reply.kind == "text/event-stream" and "endpoint" in reply.body:
        return Met()
    refused = _explain_refusal(reply)
    if refused is not None and reply.status in _WHO:
        return refused
    return Met(
        f"As the entry is written, the host opens the older SSE, and {url} answered {reply.status} to that.",
        "Write it for Streamable HTTP, as runapi-mcp install HOST --url does; or name the server's …/sse.",
    )


async def _greet(url: str, token: str) -> Met:
    reply = await ask_server(url, token, _write_message("initialize", HELLO, 1))
    if (refused := _explain_refusal(reply)) is not None:
        return refused
    if "result" not in _read_answer(reply):
        return Met(f"{url} does not answer as an MCP server does.", "Name its MCP endpoint, such as …/mcp.")
    await ask_server(url, token, _write_message("notifications/initialized"), reply.session)
    listed = _read_answer(await ask_server(url, token, _write_message("tools/list", {}, 2), reply.session))
    await ask_server(url, token, None, reply.session, method="DELETE")
    tools = (listed.get("result") or {}).get("tools")
    if not isinstance(tools, list):
        return Met(f"{url} did not list its tools.", "Look at the server's own log.")
    return Met(tools=tuple(str(tool.get("name")) for tool in tools if isinstance(tool, dict)))


def _write_message(method: str, params: Mapping[str, Any] | None = None, number: int | None = None) -> bytes:
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    message |= {} if params is None else {"params": params}
    return json.dumps(message if number is None else {**message, "id": number}).encode()


def _explain_refusal(reply: Reply) -> Met | None:
    """Return why a server did not let a host in, and what mends it; `None` if it did."""
    said = f"{reply.url} answered {reply.status}"
    match reply.status:
        case status if 300 <= status < 400:
            return Met(
                f"{said} and leads elsewhere: {quote_text(reply.location)}.",
                "Name that address, if it is its own.",
            )
        case 401 | 403:
            mend = "Set the token that its operator gave you; runapi-mcp token list shows them whose it has."
        case 404 | 405:
            mend = "Correct the address: this server's is …/mcp, behind a proxy under the proxy's prefix."
        case 421:
            mend = "Have its operator start it with --allowed-host and that name."
        case status if status >= 400:
            mend = "Look at the server's own log, or that of the proxy before it."
        case _ if "html" in reply.kind:
            return Met(f"{said} with a web page: a login page, or another server.", "Correct the address.")
        case _:
            return None
    words = _read_words(reply)
    return Met(f"{said}{f': {quote_text(words)}' if words else '.'}", mend)


def _read_words(reply: Reply) -> str:
    """Return what a refusal says in words, if it says so in JSON or as text."""
    if "html" in reply.kind:
        return ""
    try:
        parsed = json.loads(reply.body)
        error = parsed.get("error_description") or parsed.get("error")
        return str(error.get("message") if isinstance(error, dict) else error or "")[:_MOST_WORDS]
    except (ValueError, AttributeError):
        return reply.body.strip()[:_MOST_WORDS]


def _read_answer(reply: Reply) -> dict[str, Any]:
    """Return the answer in a body of JSON or of events; empty if none is in it yet."""
    if reply.kind != "text/event-stream":
        return _parse(reply.body)
    for event in re.split(r"\r?\n\r?\n", reply.body)[:-1]:
        pieces = [line[5:].removeprefix(" ") for line in event.splitlines() if line.startswith("data:")]
        answer = _parse("\n".join(pieces))
        if "result" in answer or "error" in answer:
            return answer
    return {}


def _parse(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
