"""An identity provider's keys: kept for a while, fetched again for a new one, and never without a bound."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from sockets import Peer, raw_server, refused_url
from waiting import PATIENCE, became

from runapi_mcp.errors import ProtocolError, Unreachable, UpstreamError
from runapi_mcp.transports.http.jwt import FAILED_SECONDS, Jwks


class Shelf:
    """What the provider answers, how often it was asked, and the time."""

    def __init__(self) -> None:
        self.body = json.dumps({"keys": [{"kid": "one", "kty": "RSA"}]}).encode()
        self.status = b"200 OK"
        self.asked = 0
        self.now = 0.0
        self.until: anyio.Event | None = None

    async def answer(self, peer: Peer, _asked: bytes) -> None:
        self.asked += 1
        if self.until is not None:
            await self.until.wait()
        head = b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n" % (self.status, len(self.body))
        await peer.say(head + self.body)

    def put(self, *ids: str) -> None:
        self.body = json.dumps({"keys": [{"kid": name} for name in ids]}).encode()


@asynccontextmanager
async def keys_of(shelf: Shelf, **options: Any) -> AsyncIterator[Jwks]:
    async with (
        raw_server(shelf.answer) as server,
        httpx.AsyncClient(timeout=100 * PATIENCE) as client,
        anyio.create_task_group() as tasks,
    ):
        url = options.pop("url", f"{server.base_url}/keys")
        yield Jwks(client, "https://idp.example.com", tasks, url=url, clock=lambda: shelf.now)
        tasks.cancel_scope.cancel()


async def test_keys_are_fetched_once_and_again_when_they_are_old() -> None:
    shelf = Shelf()
    async with keys_of(shelf) as keys:
        for _ in range(3):
            assert await keys.key("one") is not None
        assert shelf.asked == 1
        shelf.now = 601
        assert await keys.key("one") is not None
        await became(lambda: shelf.asked == 2)


async def test_a_new_key_is_found_but_unknown_ones_do_not_hammer() -> None:
    shelf = Shelf()
    async with keys_of(shelf) as keys:
        assert await keys.key("one") is not None
        shelf.put("one", "two")
        assert await keys.key("two") is None
        shelf.now = 31
        assert await keys.key("two") is not None
        for name in "abcdefgh":
            assert await keys.key(name) is None
        assert shelf.asked == 2


async def test_old_keys_serve_on_while_the_provider_is_away() -> None:
    shelf = Shelf()
    async with keys_of(shelf) as keys:
        assert await keys.key("one") is not None
        shelf.status, shelf.now = b"503 Service Unavailable", 700
        assert await keys.key("one") is not None
        assert await keys.key("two") is None
        shelf.status, shelf.now = b"200 OK", 731
        shelf.put("two")
        assert await keys.key("two") is not None


@pytest.mark.parametrize("body", [b"x" * 300_000, b"{}", b"not json", b'{"keys": 7}'])
async def test_what_is_no_key_set_of_a_sane_size_is_refused(body: bytes) -> None:
    shelf = Shelf()
    shelf.body = body
    async with keys_of(shelf) as keys:
        with pytest.raises(ProtocolError):
            await keys.key("one")


async def test_a_provider_that_is_not_there_is_named() -> None:
    url = refused_url()
    async with keys_of(Shelf(), url=f"{url}/keys") as keys:
        with pytest.raises(Unreachable, match=url.removeprefix("http://")):
            await keys.key("one")


async def test_the_document_of_another_issuer_is_not_believed() -> None:
    shelf = Shelf()
    shelf.body = json.dumps({"issuer": "https://evil.example.com", "jwks_uri": "https://evil/keys"}).encode()
    async with (
        raw_server(shelf.answer) as server,
        httpx.AsyncClient(timeout=5) as client,
        anyio.create_task_group() as tasks,
    ):
        with pytest.raises(UpstreamError, match="another issuer"):
            await Jwks(client, server.base_url, tasks).key("one")


async def test_all_who_wait_wait_for_one_fetch_and_a_failed_one_is_remembered() -> None:
    shelf = Shelf()
    shelf.status = b"503 Service Unavailable"
    async with keys_of(shelf) as keys:

        async def refused(name: str) -> None:
            with pytest.raises(UpstreamError):
                await keys.key(name)

        async with anyio.create_task_group() as callers:
            for number in range(9):
                callers.start_soon(refused, f"forged {number}")
        await refused("one more")
        assert shelf.asked == 1
        shelf.status, shelf.now = b"200 OK", FAILED_SECONDS + 1
        assert await keys.key("one") is not None
        assert shelf.asked == 2


async def test_a_known_key_waits_for_no_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    # Else who waits is served with old keys when a fetch has taken too long, as if it had not waited.
    monkeypatch.setattr("runapi_mcp.transports.http.jwt._FETCH_SECONDS", 100 * PATIENCE)
    shelf = Shelf()
    silent = anyio.Event()
    async with keys_of(shelf) as keys:
        assert await keys.key("one") is not None
        shelf.now, shelf.until = 601, silent
        async with anyio.create_task_group() as callers:
            callers.start_soon(keys.key, "forged")
            await became(lambda: shelf.asked == 2)
            with anyio.fail_after(PATIENCE):
                assert await keys.key("one") is not None
            silent.set()
