"""Every scenario can be played in each of its dialects, ends within its bound, and is recorded."""

import contextlib
import time

import anyio
import httpx
import pytest

from runapi_mcp.sim import SCENARIOS, Simulator
from sim.asks import PATHS, ask, chat, chat_text, native, native_text, objects

DROPPED = {
    "cut-chunked",
    "cut-rst",
    "cut-before-headers",
    "stall-headers",
    "stall-first",
    "stall-middle",
    "pings-forever",
    "endless",
}
PROMISED = """
error-a error-b error-c error-d error-e error-f error-g error-h error-i error-j rate-limit-seconds
rate-limit-date rate-limit-retryinfo rate-limit-once rate-limit-forever per-day-quota html-500
html-502 html-503 html-504 unavailable-once bad-key-400 no-credit forbidden not-found ok-json-error
ok-relay-error ok-html ok-empty ok-wrong-type ok-json-completion mid-error mid-error-event
mid-raw-json mid-error-string cut-chunked cut-clean cut-rst cut-gzip stall-headers stall-first
stall-middle pings-forever slow-drip held-open bom crlf lone-cr split-bytes split-utf8 two-objects
huge-event endless lone-surrogate empty-stop length-thinking length blocked-prompt blocked-middle
tool-call double-finish early-stop no-usage usage-every-chunk usage-separate usage-early-partial
no-done unknown-fields reasoning-content thought-tags no-final-blank-line data-after-done
id-and-comments upper-content-type latin1-charset redirect no-content-204 slow silent-thinking
thinking fenced-json wrong-json broken-json prose-instead-of-json wrong-json-once
duplicate-keys-json nan-json annotations grounding-on-chat search-reasoning-content links-in-text
no-sources offset-off-by-one grounding-no-chunks
"""


def test_every_promised_scenario_is_in_the_table() -> None:
    assert [name for name in PROMISED.split() if name not in SCENARIOS] == []


def test_every_scenario_has_a_one_line_summary() -> None:
    assert all(each.summary.endswith(".") and "\n" not in each.summary for each in SCENARIOS.values())


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_scenario_ends_within_its_bound_in_each_of_its_dialects(
    sim: Simulator, client: httpx.AsyncClient, name: str
) -> None:
    cue = f"{name} mb=0.2" if name == "huge-event" else name
    dropped = []

    async def play(dialect: str) -> None:
        try:
            response = await client.post(PATHS[dialect], json=ask(dialect, f"[[sim:{cue}]] Why {dialect}?"))
            assert response.headers["x-simulated"] == "true"
        except (httpx.TransportError, httpx.DecodingError):
            dropped.append(dialect)

    with anyio.fail_after(4):
        async with anyio.create_task_group() as tasks:
            for dialect in SCENARIOS[name].dialects:
                tasks.start_soon(play, dialect)
        calls = sim.calls
        for call in calls:
            await call.wait_closed()
    assert [call.scenario for call in calls] == [name] * len(SCENARIOS[name].dialects)
    assert all(call.ended in ("complete", "cut") for call in calls) or name == "false-gzip"
    if name in DROPPED:
        assert sorted(dropped) == sorted(SCENARIOS[name].dialects)


async def test_a_scenario_of_the_other_dialect_is_refused_with_its_name(client: httpx.AsyncClient) -> None:
    response = await client.post(PATHS["native"], json=native("[[sim:no-done]] hi"))
    assert response.status_code == 400
    assert "no-done" in response.text


@pytest.mark.parametrize("dialect", ["chat", "native"])
@pytest.mark.parametrize("name", ["mid-error", "cut-clean", "stall-middle"])
async def test_a_broken_stream_has_sent_a_part_of_the_good_one(
    sim: Simulator, client: httpx.AsyncClient, name: str, dialect: str
) -> None:
    good = (await client.post(PATHS[dialect], json=ask(dialect, "Why?"))).content
    sim.play(name)
    received = b""
    with contextlib.suppress(httpx.RemoteProtocolError):
        async with client.stream("POST", PATHS[dialect], json=ask(dialect, "Why?")) as response:
            async for octets in response.aiter_raw():
                received += octets
    same = next(
        at for at, (a, b) in enumerate(zip(good, received + b"\0" * len(good), strict=False)) if a != b
    )
    assert same > 200


@pytest.mark.parametrize("dialect", ["chat", "native"])
async def test_even_the_shortest_cut_answer_has_no_finish(client: httpx.AsyncClient, dialect: str) -> None:
    cut = ask(dialect, '[[sim:cut-clean text="Hi."]] hi')
    body = (await client.post(PATHS[dialect], json=cut)).text
    assert len(objects(body)) == 1
    assert "finish" not in body


async def test_a_reset_reaches_the_client_as_a_read_error(sim: Simulator, client: httpx.AsyncClient) -> None:
    sim.play("cut-rst")
    with pytest.raises(httpx.ReadError):
        await client.post(PATHS["chat"], json=chat("hi"))
    await sim.calls[0].wait_closed()
    assert sim.calls[0].ended == "cut"


async def test_a_chunked_cut_reaches_the_client_as_a_protocol_error(
    sim: Simulator, client: httpx.AsyncClient
) -> None:
    sim.play("cut-chunked")
    with pytest.raises(httpx.RemoteProtocolError):
        await client.post(PATHS["chat"], json=chat("hi"))


async def test_a_truncated_gzip_is_silently_short(sim: Simulator, client: httpx.AsyncClient) -> None:
    sim.play("gzip", "cut-gzip")
    whole = (await client.post(PATHS["chat"], json=chat("hi"))).text
    half = (await client.post(PATHS["chat"], json=chat("hi"))).text
    assert whole.endswith("data: [DONE]\n\n")
    assert 0 < len(half) < len(whole)


async def test_the_status_fits_the_error(sim: Simulator, client: httpx.AsyncClient) -> None:
    expected = {
        "error-b": 422,
        "rate-limit-date": 429,
        "html-504": 504,
        "bad-key-400": 400,
        "no-credit": 402,
        "forbidden": 403,
        "not-found": 404,
        "redirect": 302,
        "no-content-204": 204,
        "error-a status=418": 418,
    }
    sim.play(*expected)
    seen = [(await client.post(PATHS["chat"], json=chat("hi"))).status_code for _ in expected]
    assert seen == list(expected.values())


async def test_following_the_redirect_is_recorded(sim: Simulator, client: httpx.AsyncClient) -> None:
    sim.play("redirect")
    response = await client.post(PATHS["chat"], json=chat("hi"))
    await client.get(response.headers["location"])
    assert [call.path for call in sim.lists] == ["/sim/elsewhere"]


async def test_a_limit_holds_once_and_then_lets_the_same_question_in(
    sim: Simulator, client: httpx.AsyncClient
) -> None:
    question = chat("[[sim:rate-limit-once seconds=0.3]] hi")
    first = await client.post(PATHS["chat"], json=question)
    second = await client.post(PATHS["chat"], json=question)
    assert (first.status_code, first.headers["retry-after"]) == (429, "0.3")
    assert second.status_code == 200


@pytest.mark.parametrize(("dialect", "text_of"), [("chat", chat_text), ("native", native_text)])
async def test_an_answer_cut_by_its_limit_is_continued_from_exactly_there(
    client: httpx.AsyncClient, dialect: str, text_of: object
) -> None:
    assert callable(text_of)
    question = "[[sim:length words=90]] Tell me."
    partial = text_of((await client.post(PATHS[dialect], json=ask(dialect, question))).text)
    full = text_of(
        (await client.post(PATHS[dialect], json=ask(dialect, "[[sim:default words=90]] Tell me."))).text
    )
    turns = [("user", question), ("assistant", partial), ("user", "Continue.")]
    if dialect == "chat":
        again = chat("", messages=[{"role": role, "content": text} for role, text in turns])
    else:
        roles = {"user": "user", "assistant": "model"}
        again = {"contents": [{"role": roles[role], "parts": [{"text": text}]} for role, text in turns]}
    rest = text_of((await client.post(PATHS[dialect], json=again)).text)
    assert 0 < len(partial) < len(full)
    assert partial + rest == full
    assert len(full.split()) == 90


async def test_max_tokens_cuts_at_that_many_words(client: httpx.AsyncClient) -> None:
    body = (await client.post(PATHS["chat"], json=chat("hi", max_tokens=7))).text
    assert len(chat_text(body).split()) == 7
    assert objects(body)[-1]["choices"][0]["finish_reason"] == "length"
    body = (
        await client.post(PATHS["native"], json=native("hi", generationConfig={"maxOutputTokens": 7}))
    ).text
    assert len(native_text(body).split()) == 7
    assert objects(body)[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"


async def test_completion_tokens_leave_thinking_out_and_the_total_does_not(
    client: httpx.AsyncClient,
) -> None:
    body = (await client.post(PATHS["chat"], json=chat("hi", reasoning_effort="high"))).text
    usage = objects(body)[-1]["usage"]
    assert usage["completion_tokens"] == 60
    assert usage["total_tokens"] > usage["prompt_tokens"] + 60


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("usage-every-chunk", lambda n: n),
        ("usage-last-chunk", lambda n: 1),
        ("usage-separate", lambda n: 1),
        ("no-usage", lambda n: 0),
        ("usage-early-partial", lambda n: 2),
    ],
)
async def test_usage_comes_as_often_as_the_scenario_says(
    sim: Simulator, client: httpx.AsyncClient, name: str, counts: object
) -> None:
    assert callable(counts)
    sim.play(name)
    chunks = objects((await client.post(PATHS["chat"], json=chat("hi"))).text)
    assert sum("usage" in chunk for chunk in chunks) == counts(len(chunks))


async def test_native_offsets_are_bytes_of_the_answer(client: httpx.AsyncClient) -> None:
    body = (
        await client.post(PATHS["native"], json=native("Zoë 🌱 Νάξου", tools=[{"googleSearch": {}}]))
    ).text
    text = native_text(body).encode()
    grounding = objects(body)[-1]["candidates"][0]["groundingMetadata"]
    supports = grounding["groundingSupports"]
    assert "startIndex" not in supports[0]["segment"]
    for support in supports:
        segment = support["segment"]
        assert text[segment.get("startIndex", 0) : segment["endIndex"]].decode() == segment["text"]
    assert len(text) > len(text.decode())


async def test_events_are_framed_as_each_dialect_frames_them(client: httpx.AsyncClient) -> None:
    chat_body = (await client.post(PATHS["chat"], json=chat("hi"))).content
    native_body = (await client.post(PATHS["native"], json=native("hi"))).content
    assert chat_body.endswith(b"data: [DONE]\n\n")
    assert b"\r" not in chat_body
    assert native_body.endswith(b"}\r\n\r\n")
    assert b"[DONE]" not in native_body
    assert b"\n\n" not in native_body


async def test_without_alt_sse_the_native_path_streams_one_json_array(client: httpx.AsyncClient) -> None:
    response = await client.post(PATHS["native"].removesuffix("?alt=sse"), json=native("hi"))
    assert response.headers["content-type"] == "application/json"
    assert response.json()[-1]["candidates"][0]["finishReason"] == "STOP"


async def test_a_slow_answer_takes_the_seconds_it_was_given(
    sim: Simulator, client: httpx.AsyncClient
) -> None:
    start = time.monotonic()
    await client.post(PATHS["chat"], json=chat("[[sim:slow seconds=0.4 words=60]] hi"))
    assert 0.35 < time.monotonic() - start < 2


async def test_a_slow_drip_arrives_whole_when_it_is_given_the_time(client: httpx.AsyncClient) -> None:
    body = (
        await client.post(PATHS["chat"], json=chat("[[sim:slow-drip seconds=9 every=0 words=6]] hi"))
    ).text
    assert len(chat_text(body).split()) == 6
