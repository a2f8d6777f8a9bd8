import json

import anyio
import pytest
from sockets import Closed, Peer, raw_server, refused_url

from runapi_mcp.errors import KeyRefused, ProtocolError, RunapiError, Stalled, Unreachable
from runapi_mcp.sim import Simulator
from upstream.asking import CANARY, KEY, upstream_at


def response(status: int, body: object) -> bytes:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(octets), octets)


async def test_the_live_list_names_geminis_models_and_shows_the_key(sim: Simulator) -> None:
    async with upstream_at(sim.base_url) as upstream:
        models = await upstream.models(key=KEY)
    assert {"gemini-2.5-flash", "gemini-3-flash-preview"} <= set(models.ids)
    assert all(model.startswith("gemini-") for model in models.ids)
    assert "gpt-5.5" in models.others
    assert sim.lists[-1].auth == "bearer"
    assert sim.lists[-1].headers["x-client-request-id"]


async def test_googles_list_is_asked_where_the_other_does_not_exist_page_by_page() -> None:
    async def answer(peer: Peer, asked: bytes) -> None:
        line = asked.split(b"\r\n")[0]
        if b"/v1/models" in line:
            await peer.say(response(404, {"error": "no"}))
        elif b"pageToken=p%2F2" in line:
            await peer.say(response(200, {"models": [{"name": "models/gemini-b"}]}))
        else:
            page = {"models": [{"name": "models/gemini-a"}], "nextPageToken": "p/2"}
            await peer.say(response(200, page))

    async with raw_server(answer) as server, upstream_at(server.base_url, chat_path="/v1") as upstream:
        assert (await upstream.models(key=KEY)).ids == ("gemini-a", "gemini-b")
    bearer, *native = [request.lower() for request in server.requests]
    assert b"authorization: bearer " in bearer
    assert all(b"x-goog-api-key: " in request for request in native)
    assert not any(b"authorization" in request for request in native)


async def test_pages_without_end_are_ended() -> None:
    async def answer(peer: Peer, asked: bytes) -> None:
        if asked.startswith(b"GET /v1/models"):
            await peer.say(response(404, {}))
        else:
            await peer.say(response(200, {"models": [{"name": "gemini-a"}], "nextPageToken": "again"}))

    async with raw_server(answer) as server, upstream_at(server.base_url, chat_path="/v1") as upstream:
        assert (await upstream.models(key=KEY)).ids == ("gemini-a",)
    assert len(server.requests) == 21


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (response(401, {"error": f"bad key {CANARY}"}), KeyRefused),
        (response(200, {"code": 401, "msg": CANARY}), ProtocolError),
        (response(200, b" " * 5_000_000), ProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", RunapiError),
    ],
)
async def test_a_list_that_cannot_be_had_is_an_error_with_the_request_and_without_the_key(
    body: bytes, error: type[RunapiError]
) -> None:
    async def answer(peer: Peer, _: bytes) -> None:
        await peer.say(body)
        raise Closed

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        with pytest.raises(error, match="request id runapi-mcp-") as raised:
            await upstream.models(key=KEY)
    assert CANARY not in str(raised.value)


async def test_a_list_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runapi_mcp.upstream.model_list._SECONDS", 0.1)

    async def answer(peer: Peer, _: bytes) -> None:
        await peer.left()

    async with raw_server(answer) as server, upstream_at(server.base_url) as upstream:
        with anyio.fail_after(2), pytest.raises(Stalled, match="request id runapi-mcp-"):
            await upstream.models(key=KEY)


async def test_no_connection_is_unreachable() -> None:
    async with upstream_at(refused_url()) as upstream:
        with pytest.raises(Unreachable, match="refused"):
            await upstream.models(key=KEY)
