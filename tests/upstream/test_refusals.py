import json
import logging
import socket
import ssl
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sockets import Closed, Peer, raw_server, refused_url

from runapi_mcp.errors import (
    FailedMidway,
    KeyRefused,
    ProtocolError,
    RateLimited,
    RequestRefused,
    SettingsError,
    StreamCut,
    Unavailable,
    Unreachable,
)
from runapi_mcp.models import DialectName
from runapi_mcp.settings import Settings
from runapi_mcp.sim import Simulator
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.upstream.http import Trace
from runapi_mcp.upstream.redact import redact
from runapi_mcp.upstream.translate import read_retry_after, translate_errors
from runapi_mcp.wire.fold import Ending
from runapi_mcp.wire.types import FunctionCall, Text, Turn
from upstream.asking import ASK, CANARY, KEY, Outcome, ask, upstream_at

BOTH: tuple[DialectName, ...] = ("chat", "native")
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

REFUSALS = {
    "error-a": "RequestRefused", "error-b": "RequestRefused", "error-c": "RequestRefused",
    "error-d": "RequestRefused", "error-e": "RequestRefused", "error-f": "RequestRefused",
    "error-g": "RequestRefused", "error-h": "Unavailable", "error-i": "RequestRefused",
    "error-j": "Unavailable", "html-500": "Unavailable", "html-502": "Unavailable",
    "html-503": "Unavailable", "html-504": "Unavailable", "bad-key-400": "KeyRefused",
    "bad-key-401": "KeyRefused", "no-credit": "NoCredit", "forbidden": "NotAllowed",
    "model-retired": "ModelRetired", "no-capability": "ModelRefused",
    "not-found": "NotFound", "too-large": "RequestRefused", "redirect": "RequestRefused",
    "rate-limit-bare": "RateLimited", "per-day-quota": "RateLimited", "unavailable": "Unavailable",
    "rate-limit-seconds seconds=9": "RateLimited", "rate-limit-date seconds=9": "RateLimited",
    "rate-limit-retryinfo seconds=9": "RateLimited",
}  # fmt: skip


@pytest.mark.parametrize("dialect", BOTH)
async def test_a_refusal_is_asked_once_and_told_as_what_it_is(sim: Simulator, dialect: DialectName) -> None:
    for cue, error in REFUSALS.items():
        sim.reset()
        sim.play(*[cue] * 3)
        async with upstream_at(sim.base_url) as upstream:
            outcome = await ask(upstream, dialect)
        assert type(outcome.error).__name__ == error, (cue, outcome.error)
        assert len(sim.calls) == outcome.trace.requests == 1, cue


async def test_a_redirect_is_not_followed(sim: Simulator) -> None:
    sim.play("redirect")
    async with upstream_at(sim.base_url) as upstream:
        outcome = await ask(upstream)
    assert isinstance(outcome.error, RequestRefused)
    assert "never sent after a redirect" in str(outcome.error)
    assert len(sim.calls) == 1


# ---------------------------------------------------------------- waits


@pytest.mark.parametrize("scenario", ["rate-limit-once", "unavailable-once", "rate-limit-retryinfo"])
async def test_a_wait_that_is_asked_for_is_waited_and_counted(sim: Simulator, scenario: str) -> None:
    sim.play(f"{scenario} seconds=0.1")
    async with upstream_at(sim.base_url) as upstream:
        phases: list[str] = []
        trace = Trace()
        trace.on_phase = lambda: phases.append(trace.phase)
        asked = upstream.stream(ASK, "chat", key=KEY, trace=trace, patience=5, ending=Ending())
        async with asked as events:
            assert [event async for event in events]
    assert phases == ["connecting", "waiting", "connecting", "open"]
    assert trace.waited == pytest.approx(0.1)
    first, second = sim.calls
    assert second.received_at - first.received_at >= 0.1
    assert first.headers["x-client-request-id"] != second.headers["x-client-request-id"]


async def test_a_wait_given_as_a_date_is_counted_from_the_wall_clock() -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(
            b"HTTP/1.1 429 X\r\ncontent-length: 0\r\nretry-after: Wed, 21 Oct 2026 07:28:07 GMT\r\n\r\n"
        )

    async with raw_server(answer) as server:
        today = datetime(2026, 10, 21, 7, 28, 0, tzinfo=UTC)
        upstream = Upstream(Settings(key=KEY, base_url=server.base_url), today=lambda: today)
        outcome = await ask(upstream)
        await upstream.aclose()
    assert isinstance(outcome.error, RateLimited)
    assert outcome.error.retry_after == 7.0


@pytest.mark.parametrize("scenario", ["rate-limit-forever", "unavailable"])
async def test_two_waits_are_the_most(sim: Simulator, scenario: str) -> None:
    sim.play(*[f"{scenario} seconds=0.05"] * 9)
    async with upstream_at(sim.base_url) as upstream:
        outcome = await ask(upstream, patience=60)
    assert isinstance(outcome.error, RateLimited | Unavailable)
    assert len(sim.calls) == outcome.trace.requests == 3


async def test_patience_covers_both_waits_together(sim: Simulator) -> None:
    sim.play(*["rate-limit-forever seconds=0.3"] * 9)
    async with upstream_at(sim.base_url) as upstream:
        with anyio.fail_after(2):
            outcome = await ask(upstream, patience=0.5)
    assert isinstance(outcome.error, RateLimited)
    assert len(sim.calls) == 2


@pytest.mark.parametrize("status", [500, 502, 504, 408])
async def test_no_other_status_is_waited_for(status: int) -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(b"HTTP/1.1 %d X\r\nretry-after: 0.1\r\ncontent-length: 0\r\n\r\n" % status)

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        outcome = await ask(upstream, patience=60)
    assert isinstance(outcome.error, Unavailable)
    assert len(server.requests) == 1


@pytest.mark.parametrize("header", ["-5", "0", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_a_wait_that_is_over_before_it_begins_is_none(header: str) -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(f"HTTP/1.1 429 X\r\nretry-after: {header}\r\ncontent-length: 0\r\n\r\n".encode())

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        outcome = await ask(upstream, patience=60)
    assert isinstance(outcome.error, RateLimited)
    assert outcome.error.retry_after is None
    assert "Wait before calling again" in str(outcome.error)
    assert len(server.requests) == 1


async def test_an_error_that_asks_for_a_wait_after_the_first_event_is_not_waited_for(sim: Simulator) -> None:
    sim.play("mid-error status=429")
    async with upstream_at(sim.base_url) as upstream:
        outcome = await ask(upstream, patience=60)
    assert isinstance(outcome.error, FailedMidway)
    assert len(sim.calls) == 1


async def test_cancelling_in_a_wait_sends_nothing_more(sim: Simulator) -> None:
    sim.play(*["rate-limit-forever seconds=0.2"] * 3)
    waiting = anyio.Event()
    trace = Trace()
    trace.on_phase = lambda: waiting.set() if trace.phase == "waiting" else None

    async with upstream_at(sim.base_url) as upstream:

        async def asking() -> None:
            asked = upstream.stream(ASK, "chat", key=KEY, trace=trace, patience=60, ending=Ending())
            async with asked:
                raise AssertionError("no stream was due")

        with anyio.fail_after(2):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(asking)
                await waiting.wait()
                tasks.cancel_scope.cancel()
    assert len(sim.calls) == 1


# ---------------------------------------------------------------- connections


async def test_a_refused_connection_is_tried_twice_and_no_more() -> None:
    async with upstream_at(refused_url()) as upstream:
        outcome = await ask(upstream, patience=60)
    assert isinstance(outcome.error, Unreachable)
    assert "could not be reached: the connection was refused." in str(outcome.error)
    assert outcome.trace.requests == 2


@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_that_breaks_after_the_request_is_not_tried_again(reset: bool) -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        if reset:
            peer.reset()
        raise Closed

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        outcome = await ask(upstream, patience=60)
    assert isinstance(outcome.error, StreamCut)
    assert "before RunAPI answered" in str(outcome.error)
    assert len(server.requests) == outcome.trace.requests == 1


async def test_a_server_that_speaks_no_http_is_not_tried_again() -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(b"SSH-2.0-OpenSSH\r\n")
        raise Closed

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        assert isinstance((await ask(upstream)).error, StreamCut)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
    ],
)
async def test_what_answers_in_no_http_is_named_and_so_is_where_to_look(reply: bytes) -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(reply)
        raise Closed

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        outcome = await ask(upstream)
    assert isinstance(outcome.error, ProtocolError)
    assert "does not speak HTTP as it should" in str(outcome.error)
    assert "Check that RUNAPI_BASE_URL points at RunAPI" in str(outcome.error)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"Hello there", "before RunAPI answered"),
        (STREAM + b"fffffffffffffffffffff\r\nabc", "before anything of the answer came"),
        (STREAM + b"zz\r\n", "before anything of the answer came"),
    ],
)
async def test_where_nothing_has_come_nothing_is_to_be_continued(reply: bytes, words: str) -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(reply)
        raise Closed

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        outcome = await ask(upstream)
    assert isinstance(outcome.error, StreamCut)
    assert f"{words}; it may have done the work" in str(outcome.error)
    assert "check RUNAPI_BASE_URL if it happens every time" in str(outcome.error)
    assert "partial" not in str(outcome.error)


async def test_a_bad_chunk_in_the_middle_leaves_text_to_continue_from() -> None:
    piece = b'data: {"choices":[{"delta":{"content":"Half"}}]}\n\n'

    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(STREAM + b"%x\r\n%b\r\nzz\r\n" % (len(piece), piece))
        raise Closed

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        outcome = await ask(upstream)
    assert isinstance(outcome.error, StreamCut)
    assert "continue from the partial text" in str(outcome.error)
    assert outcome.fold.partial().text == "Half"


async def test_a_server_without_tls_is_told_apart_from_one_with_a_bad_certificate() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")

    async def plain_text(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 400 plain\r\n\r\n")

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, plain_text)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with upstream_at(f"https://127.0.0.1:{port}") as upstream:
            outcome = await ask(upstream)
        tasks.cancel_scope.cancel()
    assert isinstance(outcome.error, Unreachable)
    assert "does not speak TLS" in str(outcome.error)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (ssl.SSLCertVerificationError("x"), "its TLS certificate was not accepted"),
        (socket.gaierror(-2, "x"), "its name was not found"),
        (ExceptionGroup("x", [ConnectionRefusedError()]), "the connection was refused"),
        (OSError(101, "unreachable"), "runapi.ai could not be reached. Check"),
    ],
)
def test_an_unreachable_host_says_why_where_that_is_known(cause: Exception, words: str) -> None:
    error, attempts = httpx.ConnectError("x"), OSError("All connection attempts failed")
    error.__cause__, attempts.__cause__ = attempts, cause
    with pytest.raises(Unreachable, match=words), translate_errors("runapi.ai", answering=False):
        raise error


@pytest.mark.parametrize(
    ("error", "answering", "expected"),
    [
        (httpx.ConnectTimeout("x"), False, Unreachable),
        (httpx.PoolTimeout("x"), False, Unreachable),
        (httpx.WriteTimeout("x"), False, StreamCut),
        (httpx.ReadError(""), True, StreamCut),
        (httpx.UnsupportedProtocol("x"), False, SettingsError),
        (httpx.InvalidURL("x"), False, SettingsError),
    ],
)
def test_what_httpx_raises_is_told_in_our_words(
    error: Exception, answering: bool, expected: type[Exception]
) -> None:
    with pytest.raises(expected), translate_errors("runapi.ai", answering=answering):
        raise error


async def test_this_machine_is_never_asked_through_a_proxy(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, refused_url())
        monkeypatch.setenv(name.lower(), refused_url())
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with upstream_at(sim.base_url) as upstream:
        assert (await ask(upstream)).error is None


@pytest.fixture
def through_proxy(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have what is not on this machine be asked through a proxy."""

    def name(url: str) -> None:
        for other in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(other, raising=False)
        monkeypatch.setenv("HTTPS_PROXY", url)
        monkeypatch.setenv("https_proxy", url)

    return name


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", b"<html>Log in</html>", b""]
)
async def test_a_proxy_that_lets_nothing_through_is_named(
    through_proxy: Callable[[str], None], said: bytes
) -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(said)
        raise Closed

    async with raw_server(answer) as server:
        through_proxy(server.base_url)
        async with upstream_at("https://runapi.example") as upstream:
            outcome = await ask(upstream)
    assert isinstance(outcome.error, Unreachable)
    assert "The proxy on the way to runapi.example" in str(outcome.error)
    assert len(server.requests) == 1
    assert CANARY.encode() not in b"".join(server.requests)


@pytest.mark.parametrize("others", ["fd07:b51a:cc66:f0::/64", "::1,[::1]", "::1/128,*.local,10.0.0.0/8"])
async def test_hosts_without_a_proxy_are_told_from_the_others_whatever_their_list_holds(
    through_proxy: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, others: str
) -> None:
    """OrbStack, OpenShift and VPNs write networks of IPv6 there (orbstack/orbstack#2456)."""

    async def answer(peer: Peer, _: bytes) -> None:
        raise Closed

    async with raw_server(answer) as server:
        through_proxy(server.base_url)
        for hosts, asked in ((others, 1), (f"{others},runapi.invalid", 1), (f"{others},invalid", 1)):
            monkeypatch.setenv("NO_PROXY", hosts)
            monkeypatch.setenv("no_proxy", hosts)
            async with upstream_at("https://runapi.invalid") as upstream:
                assert isinstance((await ask(upstream)).error, Unreachable)
            assert len(server.requests) == asked


async def test_a_socks_proxy_is_nothing_to_a_host_that_is_asked_without(
    through_proxy: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    through_proxy("socks5://127.0.0.1:9")  # which takes a package more
    async with upstream_at("https://runapi.invalid") as upstream:
        assert isinstance((await ask(upstream)).error, SettingsError)
    monkeypatch.setenv("NO_PROXY", "runapi.invalid")
    async with upstream_at("https://runapi.invalid") as upstream:
        assert isinstance((await ask(upstream)).error, Unreachable)


async def test_a_proxy_that_says_nothing_is_waited_for_as_a_connection_is(
    through_proxy: Callable[[str], None],
) -> None:
    """httpcore lets it be silent for as long as a model may think (encode/httpcore#506)."""

    async def answer(peer: Peer, _: bytes) -> None:
        await peer.left()

    async with raw_server(answer) as server:
        through_proxy(server.base_url)
        limits = {"connect_timeout": 0.1, "idle_timeout": 3600.0, "deadline": 3600.0}
        async with upstream_at("https://runapi.example", **limits) as upstream:
            outcome = await ask(upstream)
    assert isinstance(outcome.error, Unreachable)
    assert "could not be reached in time" in str(outcome.error)
    assert len(server.requests) == 2


async def test_what_is_no_tls_behind_a_proxy_is_not_the_proxys(through_proxy: Callable[[str], None]) -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n")
        raise Closed

    async with raw_server(answer) as server:
        through_proxy(server.base_url)
        async with upstream_at("https://runapi.example") as upstream:
            outcome = await ask(upstream)
    assert isinstance(outcome.error, Unreachable)
    assert "proxy on the way" not in str(outcome.error)


# ---------------------------------------------------------------- bodies of refusals


async def test_the_start_of_a_long_error_page_is_enough() -> None:
    page = b"<html><title>Simulated overload</title>" + b"x" * 300_000

    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(b"HTTP/1.1 502 X\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n" + page)
        raise Closed

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        assert "“Simulated overload”" in str((await ask(upstream)).error)


async def test_an_error_whose_body_breaks_off_is_still_that_error() -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(b"HTTP/1.1 402 X\r\ncontent-length: 500\r\n\r\n{")
        raise Closed

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        assert "no credit left" in str((await ask(upstream)).error)


async def test_an_error_whose_body_never_comes_is_still_that_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runapi_mcp.upstream.translate._BODY_SECONDS", 0.1)

    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(b"HTTP/1.1 402 X\r\ncontent-length: 500\r\n\r\n")
        await peer.left()

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        with anyio.fail_after(2):
            assert "no credit left" in str((await ask(upstream)).error)


async def test_a_cookie_is_not_kept_for_the_next_call() -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(b"HTTP/1.1 402 X\r\nset-cookie: who=me; Path=/\r\ncontent-length: 0\r\n\r\n")

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        for _ in range(2):
            await ask(upstream)
    assert len(server.requests) == 2
    assert b"who=me" not in b"".join(server.requests)


# ---------------------------------------------------------------- the key


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def everything(outcome: Outcome) -> str:
    told = [f"{e!s} {e!r} {vars(e)}" for e in chain(outcome.error)]
    formatted = traceback.format_exception(outcome.error) if outcome.error else []
    return " ".join([*told, *formatted, repr(outcome.trace), repr(outcome.fold.partial())])


@pytest.mark.parametrize("dialect", BOTH)
async def test_the_key_is_in_no_error_chain_repr_or_log(
    sim: Simulator, dialect: DialectName, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    async with upstream_at(sim.base_url) as upstream:
        for name in ("default", "bad-key-401", "cut-rst", "garbage", "ok-html", "mid-error", "false-gzip"):
            sim.play(name)
            seen.append(everything(await ask(upstream, dialect)))
    async with upstream_at(refused_url()) as upstream:
        seen.append(everything(await ask(upstream, dialect)))
    logged = " ".join(f"{record.getMessage()} {record.args}" for record in caplog.records)
    assert "send_request_headers" in logged, "the loggers that could tell the key were not heard"
    assert CANARY not in logged + " ".join(seen)


@pytest.mark.parametrize("key", [f"{CANARY}\nx", f"{CANARY} \r\nx", f"{CANARY}é", f"{CANARY}\x00"])
@pytest.mark.parametrize("dialect", BOTH)
async def test_a_key_that_no_header_can_carry_is_not_shown(dialect: DialectName, key: str) -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.left()

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        asked = upstream.stream(ASK, dialect, key=SecretStr(key), trace=Trace(), patience=0, ending=Ending())
        with pytest.raises(SettingsError, match="could not be written") as raised:
            async with asked:
                pass
    assert server.requests == []
    assert len(list(chain(raised.value))) == 1
    assert CANARY not in everything(Outcome(error=raised.value))


async def test_a_refusal_that_echoes_the_key_is_told_without_it() -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        body = b'{"error":"Incorrect API key provided: ' + CANARY.encode() + b'"}'
        await peer.say(b"HTTP/1.1 401 X\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        outcome = await ask(upstream)
    assert isinstance(outcome.error, KeyRefused)
    assert "provided: [key]" in str(outcome.error)
    assert CANARY not in everything(outcome)


@pytest.mark.parametrize("field", ["finishReason", "finishMessage"])
async def test_a_finish_that_echoes_the_key_in_escapes_is_told_without_it(field: str) -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in CANARY)
    candidate = {"finishReason": "OTHER", "content": {"parts": [{"text": "Half"}]}} | {field: "KEY"}
    body = f"data: {json.dumps({'candidates': [candidate]})}\n\n".replace("KEY", escaped).encode()

    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%b"
            % (len(body), body)
        )

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        outcome = await ask(upstream, "native")
    assert "[key]" in repr(outcome.fold.partial().finish)
    assert CANARY not in everything(outcome)


def test_what_is_too_short_for_a_key_is_left_in_the_text() -> None:
    assert redact("an apple", SecretStr("a")) == "an apple"
    assert redact("an apple", SecretStr("")) == "an apple"
    assert redact(f"an {CANARY}", KEY) == "an [key]"


# ---------------------------------------------------------------- Retry-After

NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None), ("", None), ("soon", None), ("nan", None), ("7", 7.0), ("0.5", 0.5),
        ("-3", None), ("0", None), ("-inf", None),
        ("1e9", 86_400.0), ("inf", 86_400.0),
        ("Wed, 21 Oct 2026 07:29:00 GMT", 60.0), ("Wed, 21 Oct 2026 07:00:00 GMT", None),
        ("Wed, 21 Oct 2026 09:29:00 +0200", 60.0), ("Wed, 21 Oct 2026 07:29:00 -0000", 60.0),
        ("Wed, 21 Oct 9999 07:29:00 GMT", 86_400.0), ("Wed, 21 Oct 2026 07:29:00 +99999999999999", None),
    ],
)  # fmt: skip
def test_a_wait_is_read_from_seconds_and_dates(header: str | None, seconds: float | None) -> None:
    assert read_retry_after({"retry-after": header} if header is not None else {}, NOW) == seconds


@given(st.text(max_size=40))
def test_any_header_is_a_wait_within_a_day_or_none(header: str) -> None:
    seconds = read_retry_after({"retry-after": header, "retry-after-ms": header[:9]}, NOW)
    assert seconds is None or 0 < seconds <= 86_400


@given(st.integers(1, 80_000), st.integers(-12, 14))
def test_a_date_in_any_zone_is_the_same_wait(seconds: int, hours: int) -> None:
    then = (NOW + timedelta(seconds=seconds)).astimezone(timezone(timedelta(hours=hours)))
    header = then.strftime("%a, %d %b %Y %H:%M:%S %z")
    assert read_retry_after({"retry-after": header}, NOW) == seconds


@pytest.mark.parametrize(("exact", "seconds"), [("900", 0.9), ("0", 7.0), ("soon", 7.0), ("nan", 7.0)])
def test_milliseconds_are_exacter_than_seconds_where_they_are_a_wait(exact: str, seconds: float) -> None:
    assert read_retry_after({"retry-after-ms": exact, "retry-after": "7"}, NOW) == seconds


async def test_a_texts_signature_that_is_refused_is_left_out_and_those_of_calls_are_not() -> None:
    """They are of one account and model, and a relay may have several (google-gemini/gemini-cli#13467)."""
    wants = FunctionCall("1", "f", "{}", signature="C")
    said = Turn("model", (Text("So.", signature="T"), wants))
    call = replace(ASK, turns=(*ASK.turns, said, *ASK.turns))
    refused = RequestRefused("Refused.", status=400)
    refused.said = "Corrupted thought signature."
    async with upstream_at("http://127.0.0.1:1") as upstream:
        again = upstream.respell(call, "native", refused)
        assert again is not None
        assert again.turns[1].parts == (Text("So."), wants)
        assert upstream.respell(again, "native", refused) is None
