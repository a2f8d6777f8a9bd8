"""What people and proxies really send: slashes, prefixes, names in capitals, and paths that are not there."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from messages import INITIALIZE
from starlette.types import Message, Receive, Scope, Send

from network.raw_web import ACCEPT, web
from network.web_host import served
from runapi_mcp.errors import SettingsError
from runapi_mcp.sim import Simulator
from runapi_mcp.transports.http.auth import Auth, CallersKeys, JwtAuth
from runapi_mcp.transports.http.connections import Connections
from runapi_mcp.transports.http.front import Front, prefix_of
from runapi_mcp.transports.http.options import (
    HostName,
    HttpOptions,
    read_allowed_host,
    read_origin,
    read_prefix,
)
from runapi_mcp.transports.http.shutdown import Shutdown
from runapi_mcp.transports.http.tokens import TokenList

ADA = "token-of-ada-0123456789"
PAGE = "https://chat.example.com"
OPTIONS: dict[str, Any] = {
    "allowed_hosts": ("MCP.Example.com", "https://tls.example.com:443/"),
    "allowed_origins": ("HTTPS://Chat.Example.com/",),
}


@pytest.fixture(scope="module")
async def url(shared_sim: Simulator) -> AsyncIterator[str]:
    async with served(shared_sim, **OPTIONS) as base_url:
        yield base_url


# ------------------------------------------------------------ paths


@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "//mcp", "/mcp//"])
async def test_slashes_make_no_difference_and_nothing_is_redirected(url: str, path: str) -> None:
    async with web(url) as http:
        answer = await http.http.post(f"{url}{path}", json=INITIALIZE, headers=ACCEPT)
    assert answer.status_code == 200
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("options", "path", "headers", "endpoint"),
    [
        ({}, "/sse", {}, "/messages/"),
        ({}, "/sse/", {}, "/messages/"),
        ({}, "/sse", {"X-Forwarded-Prefix": "/runapi"}, "/runapi/messages/"),
        ({}, "/sse", {"X-Forwarded-Prefix": "/runapi/"}, "/runapi/messages/"),
        ({}, "/sse", {"X-Forwarded-Prefix": "/a, /b"}, "/a/b/messages/"),
        ({}, "/sse", {"X-Forwarded-Prefix": "/mcp"}, "/mcp/messages/"),
        ({}, "/sse", {"X-Forwarded-Prefix": "//evil.example"}, "/evil.example/messages/"),
        ({}, "/sse", {"X-Forwarded-Prefix": "https://evil.example"}, "/messages/"),
        ({}, "/sse", {"X-Forwarded-Prefix": "/a/../b"}, "/messages/"),
        ({}, "/sse", {"X-Forwarded-Prefix": "/a\tb"}, "/messages/"),
        ({"path_prefix": "runapi/"}, "/sse", {}, "/runapi/messages/"),
        ({"path_prefix": "/runapi"}, "/runapi/sse", {}, "/runapi/messages/"),
        ({"path_prefix": "/sse"}, "/sse/sse/", {}, "/sse/messages/"),
    ],
)
async def test_the_sse_endpoint_leads_back_under_a_prefix(
    sim: Simulator, options: dict[str, Any], path: str, headers: dict[str, str], endpoint: str
) -> None:
    async with (
        served(sim, **options) as url,
        web(url) as http,
        http.http.stream("GET", path, headers=headers) as stream,
    ):
        assert stream.status_code == 200
        async for line in stream.aiter_lines():
            if line.startswith("data:"):
                assert line.removeprefix("data:").strip().partition("?")[0] == endpoint
                break


async def test_a_proxy_that_nobody_trusts_has_no_say_in_the_path() -> None:
    options = HttpOptions(trusted_proxies=("10.1.2.3", "192.168.0.0/16"))
    trusted = ("127.0.0.1", "::1", "10.1.2.3", "192.168.7.8")
    assert all(options.trusts(address) for address in trusted)
    strangers = ("10.1.2.4", "2001:db8::1", "", "localhost")
    assert not any(options.trusts(address) for address in strangers)
    told: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        told.append(prefix_of(scope))

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        raise AssertionError("nothing is to be said")

    front = Front(app, options, Connections(10, 1.0, options.trusts), Shutdown(), "")
    headers = [(b"host", b"localhost"), (b"x-forwarded-prefix", b"/evil")]
    for address in (*trusted, *strangers):
        asked: Scope = {
            "type": "http",
            "method": "GET",
            "path": "/sse",
            "headers": headers,
            "client": (address, 1),
        }
        await front(asked, receive, send)
    assert told == ["/evil"] * len(trusted) + [""] * len(strangers)


# ------------------------------------------------------------ names


@pytest.mark.parametrize(
    "host", ["mcp.example.com", "MCP.EXAMPLE.COM:8443", "mcp.example.com.", "LocalHost", "tls.example.com"]
)
async def test_names_have_no_case(url: str, host: str) -> None:
    async with web(url, Host=host) as http:
        assert (await http.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)).status_code == 200


async def test_a_name_that_is_not_allowed_is_told_the_flag_that_allows_it(url: str) -> None:
    async with web(url, Host="other.example.com:8443") as http:
        answer = await http.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
    assert answer.status_code == 421
    said = answer.json()["error_description"]
    assert "other.example.com:8443" in said
    assert "--allowed-host other.example.com." in said


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("MCP.example.com", "mcp.example.com"),
        ("https://mcp.example.com/", "mcp.example.com"),
        ("mcp.example.com/", "mcp.example.com"),
        ("http://mcp.example.com:8080", "mcp.example.com:8080"),
        (" mcp.example.com. ", "mcp.example.com"),
        ("::1", "[::1]"),
        ("[::1]:80", "[::1]:80"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_what_is_meant_by_a_name_is_taken(given: str, read: str) -> None:
    assert read_allowed_host(given) == read


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("allowed_hosts", "https://mcp.example.com/mcp", "mcp.example.com"),
        ("allowed_hosts", "*", "wildcards"),
        ("allowed_hosts", "*.example.com", "wildcards"),
        ("allowed_hosts", "mcp example", "--allowed-host"),
        ("allowed_hosts", "", "--allowed-host"),
        ("allowed_origins", "chat.example.com", "https://app.example.com"),
        ("allowed_origins", "https://chat.example.com/app", "https://chat.example.com"),
        ("allowed_origins", "*", "wildcards"),
        ("allowed_origins", "null", "--allowed-origin"),
        ("allowed_origins", "https://*.example.com", "wildcards"),
        ("trusted_proxies", "nginx", "10.0.0.0/8"),
    ],
)
def test_what_would_never_match_is_refused_at_the_start(setting: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match="It takes") as refused:
        HttpOptions(**cast("dict[str, Any]", {setting: (value,)}))
    assert said in str(refused.value)


def test_a_prefix_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match="--path-prefix"):
        HttpOptions(path_prefix="https://mcp.example.com/runapi")


@given(st.text(max_size=60))
def test_whatever_a_request_says_is_read_or_refused(text: str) -> None:
    for read in (HostName.parse, read_allowed_host, read_origin, read_prefix):
        try:
            found = str(read(text))
        except ValueError:
            continue
        assert str(read(found)) == found, "read twice, it is the same"


# ------------------------------------------------------------ pages

AUTHS: dict[str, Auth | None] = {
    "token": TokenList.read(f"ada:{ADA}"),
    "key": CallersKeys(),
    "none": None,
}
WISH = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,mcp-session-id",
}


@pytest.mark.parametrize("page", [PAGE, "http://localhost:6274", "http://127.0.0.1", "https://[::1]:8443"])
async def test_a_page_that_passes_the_origin_check_passes_its_browser(url: str, page: str) -> None:
    async with web(url, Origin=page) as http:
        private = {"Access-Control-Request-Private-Network": "true"}
        asked = await http.http.options("/mcp", headers=WISH | private)
        answer = await http.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
    assert asked.status_code in {200, 204}
    assert asked.headers["access-control-allow-origin"] == page
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert "mcp-session-id" in asked.headers["access-control-allow-headers"]
    assert asked.headers["access-control-allow-private-network"] == "true"
    assert answer.status_code == 200
    assert answer.headers.get_list("access-control-allow-origin") == [page]
    assert answer.headers["vary"] == "Origin"


async def test_a_call_is_answered_whatever_it_says_of_the_method_that_it_has(url: str) -> None:
    async with web(url, Origin=PAGE) as http:
        answer = await http.http.post("/mcp", json=INITIALIZE, headers=ACCEPT | WISH)
    assert answer.status_code == 200
    assert "serverInfo" in answer.text


@pytest.mark.parametrize(
    "page",
    [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "https://chat.example.com.evil.example",
    ],
)
async def test_a_page_that_nobody_allowed_gets_past_nothing(url: str, page: str) -> None:
    async with web(url, Origin=page) as http:
        asked = await http.http.options("/mcp", headers=WISH)
        answer = await http.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
    for each in (asked, answer):
        assert each.status_code == 403
        assert "access-control-allow-origin" not in each.headers
        assert "--allowed-origin" in each.json()["error_description"]


async def test_a_second_origin_does_not_hide_behind_an_allowed_one(url: str) -> None:
    headers = [*ACCEPT.items(), ("Origin", PAGE), ("Origin", "https://evil.example")]
    async with web(url) as http:
        assert (await http.http.post("/mcp", json=INITIALIZE, headers=headers)).status_code == 403


async def test_a_page_can_read_why_its_call_is_refused(sim: Simulator) -> None:
    async with (
        served(sim, TokenList.read(f"ada:{ADA}"), allowed_origins=(PAGE,)) as url,
        web(url, Origin=PAGE) as http,
    ):
        asked = await http.http.options("/mcp", headers=WISH)
        refused = await http.http.post("/mcp", json=INITIALIZE, headers=ACCEPT)
    assert asked.status_code == 200, "a preflight carries no token"
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == PAGE


# ------------------------------------------------------------ paths and methods that are not there


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/.well-known/oauth-authorization-server", 404),
        ("GET", "/.well-known/oauth-protected-resource/mcp", 404),
        ("GET", "/.well-known/openid-configuration", 404),
        ("POST", "/register", 404),
        ("GET", "/authorize", 404),
        ("GET", "/somewhere", 404),
        ("PUT", "/mcp", 405),
        ("PATCH", "/mcp", 405),
        ("POST", "/sse", 405),
        ("GET", "/messages/", 405),
        ("POST", "/healthz", 405),
    ],
)
@pytest.mark.parametrize("auth", AUTHS.values(), ids=AUTHS)
async def test_every_404_and_405_is_json_that_says_what_to_send(
    sim: Simulator, auth: Auth | None, method: str, path: str, status: int
) -> None:
    async with served(sim, auth) as url, web(url) as http:
        answer = await http.http.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["error"] == {404: "not_found", 405: "method_not_allowed"}[status]
    assert ("Authorization: Bearer" in body["error_description"]) is (auth is not None)
    if status == 405:
        assert answer.headers["allow"]


async def test_a_get_of_the_newest_protocol_says_that_the_path_has_no_such_method(url: str) -> None:
    async with web(url) as http:
        answer = await http.http.get("/mcp", headers={**ACCEPT, "MCP-Protocol-Version": "2026-07-28"})
    assert answer.status_code == 405
    assert answer.json()["error_description"].startswith("This path takes no such method.")


async def test_a_session_of_the_older_transport_that_is_gone_is_json_too(url: str) -> None:
    async with web(url) as http:
        answer = await http.http.post(f"/messages/?session_id={'0' * 32}", json=INITIALIZE, headers=ACCEPT)
    assert answer.status_code == 404
    assert "session" in answer.json()["error_description"]


async def test_head_is_no_method_of_the_protocol(url: str) -> None:
    async with web(url) as http:
        for path in ("/mcp", "/sse"):
            assert (await http.http.head(path)).status_code == 405


async def test_a_jwt_server_names_its_issuer(sim: Simulator) -> None:
    auth = JwtAuth("https://idp.example.com", "https://mcp.example.com/mcp", "https://mcp.example.com/mcp")
    async with served(sim, auth) as url, web(url) as http:
        answer = await http.http.post("/register")
    assert "https://idp.example.com" in answer.json()["error_description"]
