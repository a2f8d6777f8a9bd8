"""Who may call: tokens, keys and JSON web tokens; and that nobody sees what is another's."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import jwt
import mcp_types as types
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from messages import INITIALIZE, Message
from server.hosting import CANARY
from sockets import Peer, RawServer, raw_server

from network.raw_web import ACCEPT, Web, events, web
from network.web_host import served, web_server
from runapi_mcp.errors import SettingsError
from runapi_mcp.sim import Simulator, simulate
from runapi_mcp.transports.http.auth import CallersKeys, JwtAuth
from runapi_mcp.transports.http.tokens import TokenList

ADA, BOB = "token-of-ada-0123456789", "token-of-bob-0123456789"
TOKENS = f"""
# who has which
ada:{ADA}
bob:{BOB}
"""


@pytest.fixture(scope="module")
async def guarded(shared_sim: Simulator) -> AsyncIterator[str]:
    async with served(shared_sim, TokenList.read(TOKENS)) as url:
        yield url


@asynccontextmanager
async def both(url: str) -> AsyncIterator[tuple[Web, Web]]:
    async with (
        web(url, Authorization=f"Bearer {ADA}") as ada,
        web(url, Authorization=f"bearer {BOB}") as bob,
    ):
        yield ada, bob


async def _handle(who: Web, prompt: str, **arguments: Any) -> str:
    answer = await who.call(1, "ask_gemini", prompt=prompt, **arguments)
    handle: str = events(answer)[-1]["result"]["_meta"]["ai.runapi/receipt"]["handle"]
    return handle


async def _get(who: Web, handle: str, **arguments: Any) -> dict[str, Any]:
    result: dict[str, Any] = events(await who.call(2, "get_result", handle=handle, **arguments))[-1]["result"]
    return result


# ------------------------------------------------------------ getting in


@pytest.mark.parametrize("path", ["/mcp", "/sse", "/messages/?session_id=0"])
async def test_without_a_token_there_is_a_challenge_without_an_error(guarded: str, path: str) -> None:
    async with web(guarded) as nobody:
        answer = await nobody.http.request("GET" if path == "/sse" else "POST", path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="runapi-mcp"'


@pytest.mark.parametrize(
    "header",
    ["Bearer wrong", f"Basic {ADA}", "Bearer", f"Bearer {ADA}x", "Bearer " + "x" * 20_000, f"{ADA}"],
)
async def test_a_wrong_token_is_an_invalid_one(guarded: str, header: str) -> None:
    async with web(guarded, Authorization=header) as nobody:
        answer = await nobody.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert ADA not in answer.text


async def test_two_tokens_in_one_request_are_none(guarded: str) -> None:
    async with web(guarded) as nobody:
        twice = [("Authorization", f"Bearer {ADA}"), ("Authorization", f"Bearer {BOB}"), *ACCEPT.items()]
        answer = await nobody.http.post("/mcp", json=INITIALIZE, headers=twice)
    assert answer.status_code == 401


async def test_probes_need_no_token(guarded: str) -> None:
    async with web(guarded) as nobody:
        assert (await nobody.http.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no token"),
        ("# nothing", "no token"),
        ("ada", "Line 1"),
        ("ada:short", "shorter than 16"),
        (f"ada:{ADA}\n\nbob {BOB}", "Line 3"),
        (f"ada:{ADA}\nbob:{ADA}", "same token"),
        (f"a da:{ADA}", "Line 1"),
    ],
)
def test_tokens_that_cannot_be_used_are_refused_without_being_shown(text: str, what: str) -> None:
    with pytest.raises(SettingsError, match=what) as refused:
        TokenList.read(text)
    assert ADA not in str(refused.value)
    assert "short" not in str(refused.value).replace("shorter", "")


async def test_a_name_may_have_several_tokens() -> None:
    tokens = TokenList.read(f"ada:{ADA}\nada:{BOB}")
    for token in (ADA, BOB):
        found = await tokens.verify_token(token)
        assert found is not None
        assert found.client_id == "token:ada"
    assert ADA not in repr(tokens)


# ------------------------------------------------------------ what is another's


@pytest.mark.parametrize("era", ["2026", "2025"])
async def test_two_principals_cannot_see_each_others_handles(guarded: str, sim: Simulator, era: str) -> None:
    async with both(guarded) as (ada, bob):
        if era == "2025":
            await ada.open_session()
            await bob.open_session()
        sim.play("slow seconds=1")
        handle = await _handle(ada, f"Ada's secret, {era}.", wait_seconds=0.1)

        seen, unknown = await _get(bob, handle), await _get(bob, "g_" + "x" * len(handle[2:]))
        stopped = await _get(bob, handle, cancel=True)
        read = await bob.http.post("/mcp", json=_read(handle, bob), headers=_read_headers(handle, bob))

        assert seen["isError"] is stopped["isError"] is True
        assert seen["_meta"]["ai.runapi/error"] == unknown["_meta"]["ai.runapi/error"] == "unknown_handle"
        blank = "g_" + "x" * len(handle[2:])
        assert seen["content"][0]["text"].replace(handle, "") == unknown["content"][0]["text"].replace(
            blank, ""
        )
        assert "error" in (
            events(read)[-1] if "event-stream" in read.headers["content-type"] else read.json()
        )
        assert "simulated" in (await _get(ada, handle))["content"][0]["text"]


def _read(handle: str, who: Web) -> dict[str, Any]:
    meta = {} if who.session else {"_meta": _MODERN}
    params = {"uri": f"generation://{handle}", **meta}
    return {"jsonrpc": "2.0", "id": 9, "method": "resources/read", "params": params}


_MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
}


def _read_headers(handle: str, who: Web) -> dict[str, str]:
    if who.session:
        return ACCEPT | who.session
    routing = {"Mcp-Method": "resources/read", "Mcp-Name": f"generation://{handle}"}
    return ACCEPT | {"MCP-Protocol-Version": "2026-07-28"} | routing


async def test_anothers_task_is_an_unknown_one(guarded: str, sim: Simulator) -> None:
    async with both(guarded) as (ada, bob):
        sim.play("slow seconds=1")
        handle = await _handle(ada, "Ada's task.", wait_seconds=0.1)
        answers = {}
        for who, name in ((bob, "bob"), (ada, "ada")):
            headers = ACCEPT | {
                "MCP-Protocol-Version": "2026-07-28",
                "Mcp-Method": "tasks/get",
                "Mcp-Name": handle,
            }
            answers[name] = (await who.http.post("/mcp", json=_get_task(handle), headers=headers)).json()
        assert answers["bob"]["error"]["code"] == -32602
        assert answers["ada"]["result"]["taskId"] == handle


@pytest.mark.parametrize("routing", [{}, {"Mcp-Name": "g_another"}])
async def test_a_task_that_the_routing_header_does_not_name_is_refused(
    guarded: str, sim: Simulator, routing: dict[str, str]
) -> None:
    async with both(guarded) as (ada, _):
        sim.play("slow seconds=1")
        handle = await _handle(ada, "Routed by its name.", wait_seconds=0.1)
        headers = ACCEPT | {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tasks/get"} | routing
        answer = await ada.http.post("/mcp", json=_get_task(handle), headers=headers)
    assert answer.json()["error"]["code"] == types.HEADER_MISMATCH


def _get_task(handle: str) -> Message:
    params = {"taskId": handle, "_meta": _MODERN}
    return {"jsonrpc": "2.0", "id": 3, "method": "tasks/get", "params": params}


async def test_the_same_question_of_two_principals_is_asked_twice(guarded: str, sim: Simulator) -> None:
    async with both(guarded) as (ada, bob):
        sim.play("slow seconds=1", "slow seconds=1")
        handles = [await _handle(who, "The same question.", wait_seconds=0) for who in (ada, bob)]
        assert handles[0] != handles[1]
        await sim.wait_for_call(2)


async def test_anothers_session_is_an_unknown_one(guarded: str) -> None:
    async with both(guarded) as (ada, bob):
        await ada.open_session()
        listed = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        theft = await bob.http.post("/mcp", json=listed, headers=ACCEPT | ada.session)
        unknown = await bob.http.post(
            "/mcp", json=listed, headers=ACCEPT | ada.session | {"Mcp-Session-Id": "x"}
        )
        assert theft.status_code == unknown.status_code == 404
        assert theft.text == unknown.text


async def test_strangers_do_not_get_to_read_the_servers_folder(guarded: str, sim: Simulator) -> None:
    async with both(guarded) as (ada, _):
        answer = await ada.call(1, "ask_gemini", prompt="What is in it?", files=["pyproject.toml"])
    result = events(answer)[-1]["result"]
    assert result["isError"] is True
    assert "outside the folders" in result["content"][0]["text"]
    assert not sim.calls


# ------------------------------------------------------------ keys


async def test_each_callers_key_pays_for_their_own_calls(sim: Simulator) -> None:
    async with (
        simulate(key="sk-key-of-ada") as picky,
        served(picky, CallersKeys()) as url,
        web(url, Authorization="Bearer sk-key-of-ada") as ada,
        web(url, Authorization="Bearer sk-key-of-eve") as eve,
        web(url, Authorization="Bearer two words") as nobody,
    ):
        handle = await _handle(ada, "On my own account.")
        assert (await _get(ada, handle)).get("isError") is not True
        assert (await _get(eve, handle))["isError"] is True
        refused = events(await eve.call(1, "ask_gemini", prompt="On whose account?"))[-1]["result"]
        assert refused["_meta"]["ai.runapi/error"] == "key_refused"
        assert "sk-key-of-eve" not in json.dumps(refused)
        assert (await nobody.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)).status_code == 401


async def test_a_callers_key_is_in_no_log(sim: Simulator) -> None:
    sim.play("bad-key-401", "cut-chunked", "default")
    async with (
        web_server(
            sim.base_url, "--auth", "key", RUNAPI_TOKEN="", RUNAPI_MCP_LOG="debug", RUNAPI_MCP_LOG_CONTENT="1"
        ) as server,
        web(server.base_url, Authorization=f"Bearer {CANARY}") as ada,
    ):
        for n in range(3):
            answer = await ada.call(n, "ask_gemini", prompt=f"Log me, {n}.")
            assert CANARY not in answer.text
        assert {call.auth for call in sim.calls} == {"bearer"}
    assert server.log  # which leaving web_server has searched for the key


async def test_a_callers_key_shows_in_no_repr() -> None:
    found = await CallersKeys().verify_token("sk-key-of-ada")
    assert found is not None
    assert "sk-key-of-ada" not in repr(found) + str(found) + found.model_dump_json(exclude={"claims"})


# ------------------------------------------------------------ JSON web tokens

AUDIENCE = "https://mcp.example.com/mcp"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SHORT_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # to be refused
EC = ec.generate_private_key(ec.SECP256R1())


class Provider:
    """An identity provider on a real socket, whose keys can change and whose documents can be missing."""

    def __init__(self) -> None:
        self.issuer = ""
        self.fetched: list[str] = []
        self.down = False
        self.keys: list[dict[str, Any]] = [
            {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key())), "kid": "r1", "use": "sig"},
            {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(EC.public_key())), "kid": "e1"},
            {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(SHORT_RSA.public_key())), "kid": "r0"},
        ]

    async def answer(self, peer: Peer, asked: bytes) -> None:
        path = asked.split(b" ")[1].decode()
        self.fetched.append(path)
        documents: dict[str, Any] = {
            "/.well-known/oauth-authorization-server": {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}/keys",
            },
            "/keys": {"keys": self.keys},
        }
        body = json.dumps(documents.get(path, {})).encode()
        status = b"200 OK" if path in documents and not self.down else b"404 Not Found"
        await peer.say(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))

    def token(
        self, *, key: Any = RSA, algorithm: str = "RS256", kid: str | None = "r1", **claims: Any
    ) -> str:
        now = int(time.time())
        said = {"iss": self.issuer, "aud": AUDIENCE, "sub": "ada", "exp": now + 60, "iat": now, **claims}
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, key, algorithm=algorithm, headers={"kid": kid} if kid else {})


@pytest.fixture(scope="module")
async def idp(anyio_backend: str) -> AsyncIterator[Provider]:
    del anyio_backend
    provider = Provider()
    async with anyio.create_task_group(), _listening(provider):
        yield provider


@asynccontextmanager
async def _listening(provider: Provider) -> AsyncIterator[RawServer]:
    async with raw_server(provider.answer) as server:
        provider.issuer = server.base_url
        yield server


@pytest.fixture(scope="module")
async def resource(shared_sim: Simulator, idp: Provider) -> AsyncIterator[str]:
    auth = JwtAuth(idp.issuer, AUDIENCE, AUDIENCE)
    async with served(shared_sim, auth) as url:
        yield url


async def _status(url: str, token: str) -> int:
    async with web(url, Authorization=f"Bearer {token}") as who:
        return (await who.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)).status_code


async def test_a_good_token_of_either_key_gets_in(resource: str, idp: Provider) -> None:
    assert await _status(resource, idp.token()) == 200
    assert await _status(resource, idp.token(key=EC, algorithm="ES256", kid="e1")) == 200
    assert idp.fetched.count("/keys") == 1


def _bad(idp: Provider) -> Iterator[tuple[str, str]]:
    now = int(time.time())
    yield "expired", idp.token(exp=now - 3600)
    yield "not yet valid", idp.token(nbf=now + 3600)
    yield "of another issuer", idp.token(iss="https://elsewhere.example.com")
    yield "for another audience", idp.token(aud="https://elsewhere.example.com/mcp")
    yield "without an expiry", idp.token(exp=None)
    yield "without a subject", idp.token(sub=None)
    yield "with an empty subject", idp.token(sub="")
    yield "with a blank subject", idp.token(sub=" ")
    yield "signed by a key that is too short", idp.token(key=SHORT_RSA, kid="r0")
    yield "without an audience", idp.token(aud=None)
    yield "signed by another key", idp.token(key=OTHER_RSA)
    yield "of an unknown key", idp.token(kid="r9")
    yield "that names no key of two", idp.token(kid=None)
    yield "that says another algorithm than its key", idp.token(key=EC, algorithm="ES256", kid="r1")
    said = {"iss": idp.issuer, "aud": AUDIENCE, "sub": "ada", "exp": now + 60}
    critical = {"kid": "r1", "crit": ["more"], "more": True}
    yield "that must be understood in more", jwt.encode(said, RSA, algorithm="RS256", headers=critical)
    yield "unsigned", idp.token(key=None, algorithm="none")
    yield "signed with a shared secret", idp.token(key="x" * 64, algorithm="HS256")
    yield "not a token", "abc.def.ghi"


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")  # of making one
async def test_a_bad_token_stays_outside(resource: str, idp: Provider) -> None:
    for why, token in _bad(idp):
        assert await _status(resource, token) == 401, f"a token {why} got in"


async def test_the_challenge_leads_to_the_metadata_and_the_issuer(resource: str, idp: Provider) -> None:
    async with web(resource) as nobody:
        answer = await nobody.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
        path = "/.well-known/oauth-protected-resource"
        assert f'resource_metadata="https://mcp.example.com{path}/mcp"' in answer.headers["www-authenticate"]
        for place in (f"{path}/mcp", path):
            about = (await nobody.http.get(place)).json()
            assert about["resource"] == AUDIENCE
            assert [url.rstrip("/") for url in about["authorization_servers"]] == [idp.issuer]


async def test_two_subjects_cannot_see_each_others_handles(
    resource: str, idp: Provider, sim: Simulator
) -> None:
    async with (
        web(resource, Authorization=f"Bearer {idp.token()}") as ada,
        web(resource, Authorization=f"Bearer {idp.token(sub='eve')}") as eve,
    ):
        handle = await _handle(ada, "Signed by ada.")
        assert (await _get(eve, handle))["isError"] is True
    assert len(sim.calls) == 1


async def test_keys_that_cannot_be_had_are_not_the_callers_fault(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runapi_mcp.transports.http.jwt.FAILED_SECONDS", 0.0)  # else it is remembered
    provider = Provider()
    provider.down = True
    async with (
        _listening(provider),
        served(sim, JwtAuth(provider.issuer, AUDIENCE, AUDIENCE)) as url,
        web(url, Authorization=f"Bearer {provider.token()}") as ada,
    ):
        answer = await ada.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "10"
        provider.down = False
        assert await _status(url, provider.token()) == 200
