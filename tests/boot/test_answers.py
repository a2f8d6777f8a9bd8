"""With the prologue or without it, a host reads the same answers: compared on hosts that are made up."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages import INITIALIZED, META, line, request

from boot.boot_host import call, envelope, initialize
from runapi_mcp.boot.answers import Answers, Manifest
from runapi_mcp.boot.manifest import HANDSHAKES, LISTS, served
from runapi_mcp.boot.prologue import MANIFEST
from runapi_mcp.settings import Settings

ANSWERS: Manifest = json.loads(Path(MANIFEST).read_text(encoding="utf-8"))["answers"]

odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, 5, "x", [], {}, True, {"x": 1}, [{}], {"x": {}}, {"listChanged": "x"}]
)
capabilities = st.one_of(
    odd,
    st.dictionaries(
        st.sampled_from(["roots", "sampling", "elicitation", "experimental", "extensions", "tasks", "other"]),
        odd,
    ),
    st.just(
        {"roots": {"listChanged": True}, "elicitation": {"form": {}}, "tasks": {"requests": {"sampling": {}}}}
    ),
)
icons = st.one_of(
    odd, st.just([{"src": "https://x"}]), st.just([{"src": "x", "theme": "blue", "sizes": ["1x1"]}])
)
clients = st.one_of(
    st.just({"name": "raw", "version": "1"}),
    st.fixed_dictionaries(
        {"name": st.one_of(st.just("raw"), odd), "version": st.just("1")},
        optional={"title": odd, "icons": icons, "websiteUrl": odd, "other": odd},
    ),
    odd,
)
revisions = st.sampled_from([*HANDSHAKES, "2026-07-28", "1999-01-01", ""])
metas = st.one_of(
    odd,
    st.fixed_dictionaries({}, optional={"progressToken": st.one_of(st.just(7), odd), "trace": odd}),
    st.fixed_dictionaries(
        {f"{META}protocolVersion": st.one_of(st.just("2026-07-28"), revisions, odd)},
        optional={
            f"{META}clientCapabilities": st.one_of(st.just({}), capabilities),
            f"{META}clientInfo": clients,
            f"{META}logLevel": st.one_of(st.just("info"), odd),
            f"{META}other": odd,
            "progressToken": odd,
        },
    ),
)
greetings = st.one_of(
    revisions.map(lambda revision: initialize(0, revision)["params"]),
    st.fixed_dictionaries(
        {"protocolVersion": st.one_of(revisions, odd), "capabilities": capabilities, "clientInfo": clients},
        optional={"_meta": metas, "other": odd},
    ),
)
questions = st.one_of(
    st.none(),
    st.just({}),
    st.just(envelope()),
    st.fixed_dictionaries({}, optional={"_meta": metas, "cursor": odd}),
)
messages = st.one_of(
    st.tuples(st.just("initialize"), greetings),
    st.tuples(st.sampled_from([*LISTS, "ping", "server/discover", "nix/list"]), questions),
    st.just(("notifications/initialized", None)),
)
raw = st.sampled_from(
    [b"", b"  ", b"not json", b"[]", b"{}", b"\xff\xfe{}", b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}']
)


def written(made: Iterable[tuple[str, Any] | bytes]) -> list[bytes]:
    """Return the lines of a host that says this, its requests numbered."""
    lines = []
    for number, each in enumerate(made):
        if isinstance(each, bytes):
            lines.append(each)
        else:
            message = request(number, *each)
            if each[0].startswith("notifications/"):
                del message["id"]
            lines.append(line(message).rstrip(b"\n"))
    return lines


def exchanged(lines: list[bytes]) -> tuple[list[Any], list[Any]]:
    """Return what a host that writes `lines` reads: from the real server, and with the prologue before it."""
    prologue = Answers(ANSWERS)
    said = [json.loads(answer) for answer in map(prologue.answer, lines) if answer]

    async def ask() -> tuple[list[Any], list[Any]]:
        alone = await served(b"".join(each + b"\n" for each in lines), Settings())
        return alone, said + await served(b"".join(prologue.held), Settings(), prologue.answered)

    return anyio.run(ask)


def counted(answers: list[Any]) -> Counter[str]:
    return Counter(json.dumps(answer, sort_keys=True) for answer in answers)


def same(lines: list[bytes]) -> int:
    """Check that the prologue makes no difference; return how many answers were its own."""
    alone, together = exchanged(lines)
    assert counted(together) == counted(alone)
    prologue = Answers(ANSWERS)
    return sum(bool(prologue.answer(each)) for each in lines)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(messages, messages, messages, raw), max_size=6).map(written))
def test_no_host_reads_another_answer_because_of_the_prologue(lines: list[bytes]) -> None:
    same(lines)


@pytest.mark.parametrize("revision", [*HANDSHAKES, "2026-07-28", "1999-01-01"])
def test_a_handshake_and_all_lists_are_answered_in_every_revision(revision: str) -> None:
    asked = [initialize(0, revision), INITIALIZED, request("p", "ping", {"_meta": {"progressToken": "t"}})]
    asked += [request(number, method) for number, method in enumerate(LISTS, 1)]
    assert same([line(each).strip() for each in asked]) == 6


def test_a_host_of_2026_is_answered() -> None:
    info: dict[str, Any] = {
        f"{META}clientInfo": {"name": "claude-code", "version": "2.1", "title": "Claude Code"}
    }
    asked = [request(method, method, envelope(**info)) for method in ("server/discover", *LISTS)]
    assert same([line(each).strip() for each in asked]) == 5


@pytest.mark.parametrize(
    "params", [{}, {"_meta": {}}, envelope("2099-01-01"), {"_meta": {f"{META}protocolVersion": "2026-07-28"}}]
)
def test_a_discovery_that_lacks_something_is_left_to_the_server(params: dict[str, Any]) -> None:
    assert same([line(request(0, "server/discover", params)).strip()]) == 0


def test_a_ping_before_the_handshake_is_answered_and_decides_the_era() -> None:
    asked = [
        request(0, "ping"),
        initialize(1),
        request(2, "tools/list"),
        request(3, "tools/list", envelope()),
    ]
    assert same([line(each).strip() for each in asked]) == 3


def test_a_handshake_after_a_discovery_is_refused_as_the_server_refuses_it() -> None:
    asked = [request(0, "server/discover", envelope()), initialize(1)]
    assert same([line(each).strip() for each in asked]) == 1


def test_a_list_asked_for_before_the_handshake_is_left_to_the_server() -> None:
    assert same([line(each).strip() for each in (request(0, "tools/list"), initialize(1))]) == 1


def test_a_second_handshake_and_what_follows_is_left_to_the_server() -> None:
    asked = [initialize(0), initialize(1, "2024-11-05"), request(2, "tools/list")]
    assert same([line(each).strip() for each in asked]) == 1


def test_after_a_line_that_may_be_anything_everything_waits() -> None:
    lines = [line(initialize(0)).strip(), b"\xef\xbb\xbf{}", line(request(1, "ping")).strip()]
    assert same(lines) == 1


def test_a_call_keeps_nobody_waiting() -> None:
    asked = [initialize(0), call(1, "no_such_tool"), request(2, "tools/list")]
    assert same([line(each).strip() for each in asked]) == 2


def test_a_call_that_waits_for_the_import_shows_that_it_was_heard() -> None:
    prologue = Answers(ANSWERS)
    waiting = call(1, "ask_gemini", prompt="Hello?")
    waiting["params"]["_meta"] = {"progressToken": "t1"}
    assert prologue.answer(line(initialize(0)).strip())
    said = json.loads(prologue.answer(line(waiting).strip()))
    assert said["method"] == "notifications/progress"
    assert said["params"] == {"progressToken": "t1", "progress": 0, "message": "starting"}
    assert prologue.waiting == 1
    assert not prologue.answer(line(call(2, "ask_gemini", prompt="No token.")).strip())


def test_a_call_before_the_handshake_shows_nothing() -> None:
    waiting = call(1, "ask_gemini", prompt="Hello?")
    waiting["params"]["_meta"] = {"progressToken": {"odd": True}}
    prologue = Answers(ANSWERS)
    assert not prologue.answer(line(waiting).strip())


def test_the_prologue_never_writes_more_than_a_pipe_takes() -> None:
    prologue = Answers(ANSWERS)
    asked = [initialize(0), *(request(number, "tools/list") for number in range(1, 100))]
    said = b"".join(prologue.answer(line(each).strip()) for each in asked)
    assert len(said) <= 32_768
    assert len(prologue.held) - 1 + said.count(b"\n") == len(asked)


def test_a_long_line_is_not_looked_at() -> None:
    prologue = Answers(ANSWERS)
    assert not prologue.answer(line(initialize(0, title="x" * 2_000_000)).strip())
    assert prologue.waiting == 1
