"""What the simulator records, whom it lets in, and how it is told what to play."""

import subprocess
import sys
import threading
import time

import anyio
import httpx
import pytest

from runapi_mcp.sim import Simulator, serve, server, simulate
from sim.asks import CHAT, NATIVE, chat, chat_text, native


@pytest.mark.parametrize("name", ["stall-headers", "stall-first", "stall-middle", "pings-forever", "endless"])
async def test_a_client_that_leaves_is_noticed_at_once(
    sim: Simulator, client: httpx.AsyncClient, name: str
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: client.post(CHAT, json=chat(f"[[sim:{name} seconds=30]] hi")))
        call = await sim.wait_for_call()
        if name in ("stall-middle", "pings-forever", "endless"):
            await call.wait_first_byte()
        left = time.monotonic()
        tasks.cancel_scope.cancel()
    await call.wait_closed(1)
    assert call.ended == "client left"
    assert call.closed_at is not None
    assert call.closed_at - left < 0.2


async def test_leaving_the_simulator_takes_no_time_while_streams_hang(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "_GOODBYE", 30.0)
    async with httpx.AsyncClient(trust_env=False, verify=False) as client, anyio.create_task_group() as tasks:

        async def hang(url: str) -> None:
            with pytest.raises(httpx.TransportError):
                await client.post(url, headers={"x-api-key": "k"}, json=chat("hi"))

        async with simulate(scenario="stall-middle seconds=60") as sim:
            for _ in range(5):
                tasks.start_soon(hang, sim.base_url + CHAT)
            await sim.wait_for_call(5)
            start = time.monotonic()
        assert time.monotonic() - start < 5.0, "each noticed it, so none was waited for"


async def test_no_thread_stays_behind() -> None:
    before = threading.active_count()
    async with simulate():
        assert any(thread.name == "simulated-runapi" for thread in threading.enumerate())
    assert not any(thread.name == "simulated-runapi" for thread in threading.enumerate())
    assert threading.active_count() <= before + 1


async def test_played_scenarios_come_in_order_and_then_the_default(
    sim: Simulator, client: httpx.AsyncClient
) -> None:
    sim.play("no-credit", "error-a status=418")
    statuses = [(await client.post(CHAT, json=chat("hi"))).status_code for _ in range(3)]
    assert statuses == [402, 418, 200]
    assert [call.scenario for call in sim.calls] == ["no-credit", "error-a", "default"]


async def test_a_marker_goes_before_the_queue_and_leaves_it_alone(
    sim: Simulator, client: httpx.AsyncClient
) -> None:
    sim.play("no-credit")
    marked = await client.post(NATIVE, json=native("hello [[sim:forbidden]]"))
    queued = await client.post(NATIVE, json=native("hello"))
    assert (marked.status_code, queued.status_code) == (403, 402)


async def test_a_marker_counts_only_in_the_last_user_text(client: httpx.AsyncClient) -> None:
    messages = [
        {"role": "user", "content": "[[sim:forbidden]] one"},
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": "two"},
    ]
    assert (await client.post(CHAT, json=chat("", messages=messages))).status_code == 200


async def test_marker_parameters_shape_the_answer(client: httpx.AsyncClient) -> None:
    body = (await client.post(CHAT, json=chat('[[sim:default text="Only this."]] hi'))).text
    assert chat_text(body) == "Only this."
    refused = await client.post(CHAT, json=chat("[[sim:default speed=9]] hi"))
    assert refused.status_code == 400
    assert "speed" in refused.text
    refused = await client.post(CHAT, json=chat("[[sim:slow seconds=soon]] hi"))
    assert refused.status_code == 400


def test_an_unknown_scenario_is_refused_when_it_is_named() -> None:
    async def start() -> None:
        async with simulate(scenario="nonsense"):
            pass

    with pytest.raises(ValueError, match="nonsense"):
        anyio.run(start)


async def test_an_unknown_name_in_the_queue_is_refused(sim: Simulator) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        sim.play("default", "nonsense")
    assert sim.calls == []


@pytest.mark.parametrize(
    ("header", "value", "form"),
    [
        ("Authorization", "Bearer secret-canary", "bearer"),
        ("x-goog-api-key", "secret-canary", "x-goog-api-key"),
        ("x-api-key", "secret-canary", "x-api-key"),
    ],
)
async def test_each_of_three_headers_opens_every_route(header: str, value: str, form: str) -> None:
    async with (
        simulate(key="secret-canary") as sim,
        httpx.AsyncClient(base_url=sim.base_url, trust_env=False, verify=False) as client,
    ):
        headers = {header: value}
        for path in ("/v1/models", "/v1beta/models", "/v1beta/openai/models"):
            assert (await client.get(path, headers=headers)).status_code == 200
        assert (await client.post(CHAT, headers=headers, json=chat("hi"))).status_code == 200
        assert (await client.post(NATIVE, headers=headers, json=native("hi"))).status_code == 200
        assert {call.auth for call in [*sim.calls, *sim.lists]} == {form}
        assert "secret-canary" not in repr([vars(call) for call in [*sim.calls, *sim.lists]])


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"x-api-key": ""}])
async def test_any_other_key_gets_401(headers: dict[str, str]) -> None:
    async with (
        simulate(key="right") as sim,
        httpx.AsyncClient(base_url=sim.base_url, headers=headers, trust_env=False, verify=False) as client,
    ):
        assert (await client.post(CHAT, json=chat("hi"))).status_code == 401
        assert (await client.get("/v1beta/models")).status_code == 401


async def test_every_response_says_it_is_simulated_and_who_asked(client: httpx.AsyncClient) -> None:
    response = await client.post(CHAT, json=chat("hi"), headers={"X-Client-Request-Id": "mine-1"})
    assert response.headers["x-simulated"] == "true"
    assert response.headers["x-client-request-id"] == "mine-1"
    assert response.headers["x-request-id"]
    assert response.headers["x-runapi-task-id"]
    assert "simulated answer" in response.text


async def test_a_call_is_recorded_with_times_and_chunks(sim: Simulator, client: httpx.AsyncClient) -> None:
    body = (await client.post(CHAT, json=chat("hi"))).text
    call = await sim.wait_for_call(1)
    await call.wait_closed()
    assert (call.method, call.path, call.auth, call.ended) == ("POST", CHAT, "bearer", "complete")
    assert isinstance(call.body, dict)
    assert call.body["model"] == "gemini-2.5-pro"
    assert call.first_byte_at is not None
    assert call.closed_at is not None
    assert call.received_at <= call.first_byte_at <= call.closed_at
    assert call.chunks_sent == body.count("data: {")


async def test_waiting_for_a_call_that_never_comes_times_out(sim: Simulator) -> None:
    with pytest.raises(TimeoutError):
        await sim.wait_for_call(timeout=0.05)


async def test_reset_forgets_everything(sim: Simulator, client: httpx.AsyncClient) -> None:
    sim.play("no-credit")
    await client.post(CHAT, json=chat("[[sim:default]] hi"))
    sim.reset()
    assert sim.calls == []
    assert (await client.post(CHAT, json=chat("hi"))).status_code == 200
    assert (await sim.wait_for_call(1)).scenario == "default"


async def test_another_process_can_play_and_look(sim: Simulator, client: httpx.AsyncClient) -> None:
    names = [row["name"] for row in (await client.get("/sim/scenarios")).json()["scenarios"]]
    assert "cut-rst" in names
    assert (await client.post("/sim/play", json={"names": ["no-credit"]})).json() == {"queued": 1}
    assert (await client.post("/sim/play", json={"names": ["nonsense"]})).status_code == 400
    assert (await client.post("/sim/play", content=b"[")).status_code == 400
    assert (await client.post(CHAT, json=chat("hi"))).status_code == 402
    (call,) = (await client.get("/sim/calls")).json()["calls"]
    assert (call["scenario"], call["ended"]) == ("no-credit", "complete")


async def test_the_model_lists_have_the_shapes_of_both_apis(client: httpx.AsyncClient) -> None:
    ids = [row["id"] for row in (await client.get("/v1/models")).json()["data"]]
    assert {"models/gemini-2.5-pro", "gemini-flash-latest", "gpt-5.5"} <= set(ids)
    names: list[str] = []
    page: dict[str, str] = {}
    while True:
        body = (await client.get("/v1beta/models", params={"pageSize": "4", **page})).json()
        names += [row["name"] for row in body["models"]]
        if "nextPageToken" not in body:
            break
        page = {"pageToken": body["nextPageToken"]}
    assert len(names) == len(set(names)) == 10
    assert all(name.startswith("models/gemini-") for name in names)


async def test_pace_is_the_time_between_chunks(sim: Simulator, client: httpx.AsyncClient) -> None:
    sim.pace = 0.03
    start = time.monotonic()
    await client.post(CHAT, json=chat("hi"))
    assert time.monotonic() - start > 0.03 * 9


async def test_serving_announces_where_and_stops_when_cancelled() -> None:
    where: list[str] = []
    announced = anyio.Event()

    def announce(url: str) -> None:
        where.append(url)
        announced.set()

    async with anyio.create_task_group() as tasks, httpx.AsyncClient(trust_env=False, verify=False) as client:

        async def run() -> None:
            await serve(host="127.0.0.1", port=0, scenario="no-credit", pace=0, announce=announce)

        tasks.start_soon(run)
        await announced.wait()
        response = await client.post(where[0] + CHAT, json=chat("hi"), headers={"x-api-key": "k"})
        assert response.status_code == 402
        tasks.cancel_scope.cancel()
    async with httpx.AsyncClient(trust_env=False, verify=False) as late:
        with pytest.raises(httpx.ConnectError):
            await late.get(where[0])


def test_importing_the_simulator_imports_nothing_else_of_ours() -> None:
    script = "import sys, runapi_mcp.sim; print(*[n for n in sys.modules if n.startswith('runapi_mcp.')])"
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    names = run.stdout.split()
    assert "runapi_mcp.sim.app" in names
    assert all(name.startswith("runapi_mcp.sim") for name in names)
