"""The page at /, and docs/team.md followed from nothing: behind nginx, with TLS and a path."""

import datetime
import html
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fleet.redis_server import free_port
from messages import ENVELOPE, tool_call
from ruamel.yaml import YAML
from server.hosting import CANARY
from waiting import became

from network.raw_web import events, modern_headers, web
from network.web_host import served
from runapi_mcp.hosts.rows import HOSTS
from runapi_mcp.sim import Simulator
from runapi_mcp.transports.http.auth import CallersKeys
from runapi_mcp.transports.http.joining import REMOTE_HOSTS, TOKEN, URL
from runapi_mcp.transports.http.tokens import TokenList

PAGE = (Path(__file__).parents[2] / "docs" / "team.md").read_text(encoding="utf-8")
NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
ANN = "token-of-ann-0123456789"


def facts(page: httpx.Response) -> dict[str, Any]:
    found = re.search(r'data-facts="([^"]*)"', page.text)
    assert found
    read: dict[str, Any] = json.loads(html.unescape(found[1]))
    return read


async def test_the_page_may_load_nothing_and_ask_this_server_alone(sim: Simulator) -> None:
    async with served(sim) as url, httpx.AsyncClient() as http:
        page = await http.get(f"{url}/")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert not re.findall(r"(?:src|href)=|https?://|@import|url\(", page.text.split("data-facts")[0])
    assert "innerHTML" not in page.text
    assert page.text.count("<script>") == page.text.count("<style>") == 1


async def test_the_page_names_what_to_send_and_where_behind_a_prefix(sim: Simulator) -> None:
    async with served(sim, CallersKeys(), path_prefix="/runapi") as url, httpx.AsyncClient() as http:
        for path in ("/", "/runapi", "/runapi/"):
            assert facts(await http.get(f"{url}{path}"))["path"] == "/runapi/mcp"
        assert facts(await http.get(f"{url}/"))["credential"] == "RunAPI key"
        assert (await http.get(f"{url}/nothing")).status_code == 404


async def test_the_pages_own_requests_are_let_in_and_a_strangers_are_not(sim: Simulator) -> None:
    names = ("mcp.example.com", "mcp.example.com:8443")
    async with served(sim, TokenList.read(f"ann:{ANN}"), allowed_hosts=names) as url:
        message = tool_call(1, "list_models", modern=True)
        for host, origin, status in (
            ("mcp.example.com", "https://mcp.example.com", 200),
            ("mcp.example.com:8443", "https://mcp.example.com:8443", 200),
            ("MCP.example.com", "http://mcp.example.com", 200),
            ("mcp.example.com", "https://mcp.example.com:9", 403),
            ("mcp.example.com", "https://evil.example.com", 403),
            ("mcp.example.com", "null", 403),
            ("evil.example.com", "https://evil.example.com", 421),
        ):
            headers = {"Host": host, "Origin": origin, "Authorization": f"Bearer {ANN}"}
            async with httpx.AsyncClient() as http:
                answer = await http.post(
                    f"{url}/mcp", json=message, headers=modern_headers(message) | headers
                )
            assert answer.status_code == status, (host, origin)


async def test_todays_use_is_the_callers_own(sim: Simulator) -> None:
    bob = "token-of-bob-0123456789"
    async with served(sim, TokenList.read(f"ann:{ANN}\nbob:{bob}")) as url:
        for token in (ANN, bob, bob):
            async with web(url, Authorization=f"Bearer {token}") as http:
                await http.call(1, "ask_gemini", prompt="Used", model="gemini-2.5-flash", fresh=True)
        async with web(url, Authorization=f"Bearer {bob}") as http:
            usage = await used(http.http, f"{url}/mcp")
    assert usage["caller"] == "bob"
    [row] = usage["today"]
    assert (row["principal"], row["model"], row["generations"]) == ("bob", "gemini-2.5-flash", 2)
    assert row["output_tokens"] > 0


async def test_what_everybody_used_is_seen_by_an_admin_alone(sim: Simulator) -> None:
    bob = "token-of-bob-0123456789"
    async with served(sim, TokenList.read(f"ann:{ANN} admin\nbob:{bob}")) as url:
        for token in (ANN, bob):
            async with web(url, Authorization=f"Bearer {token}") as http:
                await http.call(1, "ask_gemini", prompt="Used", model="gemini-2.5-flash", fresh=True)
        async with web(url, Authorization=f"Bearer {ANN}") as http:
            team = await used(http.http, f"{url}/mcp", "usage://team")
            assert "usage://team" in (await asked(http.http, f"{url}/mcp", "resources/list")).text
        async with web(url, Authorization=f"Bearer {bob}") as http:
            listed = await asked(http.http, f"{url}/mcp", "resources/list")
            refused = await asked(http.http, f"{url}/mcp", "resources/read", uri="usage://team")
    assert [(row["principal"], row["generations"]) for row in team["days"]] == [("ann", 1), ("bob", 1)]
    assert "usage://team" not in listed.text
    assert listed.json()["result"]["cacheScope"] == "private"
    assert refused.json()["error"]["message"].startswith("Unknown resource: 'usage://team'")


async def asked(http: httpx.AsyncClient, url: str, method: str, **params: Any) -> httpx.Response:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": ENVELOPE}}
    name = {"Mcp-Name": params["uri"]} if "uri" in params else {}
    return await http.post(url, json=message, headers=modern_headers(message) | name)


async def used(http: httpx.AsyncClient, url: str, uri: str = "usage://me") -> dict[str, Any]:
    answer = await asked(http, url, "resources/read", uri=uri)
    assert answer.status_code == 200, answer.text
    read: dict[str, Any] = json.loads(answer.json()["result"]["contents"][0]["text"])
    return read


@pytest.mark.parametrize("host", REMOTE_HOSTS, ids=[host.id for host in REMOTE_HOSTS])
def test_an_entry_is_what_its_host_reads(host: Any) -> None:
    assert URL in host.entry
    assert TOKEN in host.entry
    if host.id in HOSTS:
        row = HOSTS[host.id]
        match host.id:
            case "claude-code":
                return
            case "codex":
                import tomllib

                read: Any = tomllib.loads(host.entry)
            case "goose":
                read = YAML(typ="safe").load(host.entry)
            case _:
                read = json.loads(host.entry)
        for name in row.path:
            read = read[name]
        assert "runapi" in read


def test_there_is_an_entry_for_every_host_that_install_knows() -> None:
    assert {host.id for host in REMOTE_HOSTS} >= set(HOSTS)


# ------------------------------------------------------------ the document, as it is written


def block(language: str, holding: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return next(found for found in blocks if holding in found)


def certificate(folder: Path) -> None:
    """Write a certificate of mcp.example.com that nobody else signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mcp.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("mcp.example.com")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "mcp.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "mcp.key").write_bytes(secret)


@contextmanager
def nginx(folder: Path, served_at: int) -> Iterator[int]:
    """Run nginx with the page's own server block; gives the port of TLS."""
    if NGINX is None:
        pytest.skip("no nginx on this machine: apt-get install nginx-light")
    certificate(folder)
    port = free_port()
    given = block("nginx", "proxy_pass").replace("/etc/ssl", str(folder))
    given = given.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl").replace("8080", str(served_at))
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"pid {folder}/pid; events {{}} http {{ access_log off; {temporary} {given} }}", encoding="utf-8"
    )
    command = [NGINX, "-e", "stderr", "-p", str(folder), "-c", str(config)]
    with subprocess.Popen([*command, "-g", "daemon off;"], stderr=subprocess.DEVNULL) as process:
        try:
            yield port
        finally:
            process.terminate()


@pytest.mark.skipif(sys.platform == "win32", reason="the page's blocks are for a shell of POSIX")
async def test_the_page_of_a_team_works_as_written(sim: Simulator, tmp_path: Path) -> None:
    port = free_port()
    begun = block("sh", "runapi-mcp serve").replace("YOUR_RUNAPI_TOKEN", CANARY)
    begun = begun.replace("runapi-mcp serve --http", f"exec runapi-mcp serve --http --port {port}")
    tools = str(Path(sys.executable).parent)
    env = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "RUNAPI_BASE_URL": sim.base_url}
    process = await anyio.open_process(["sh", "-euc", begun], env=env, cwd=tmp_path, stdin=subprocess.DEVNULL)
    async with process:
        assert process.stdout is not None
        try:
            with anyio.fail_after(60):
                said = b""
                while said.count(b"\n") < 2:
                    said += await process.stdout.receive()
            ann, bob = said.decode().split()
            with nginx(tmp_path, port) as tls:
                await member(sim, tls, ann)
                changing = block("sh", "token revoke")
                done = await anyio.run_process(["sh", "-euc", changing], env=env, cwd=tmp_path)
                another = done.stdout.decode().splitlines()[2]
                assert "bob: 1 token revoked" in done.stdout.decode()

                async def bob_is_out() -> bool:
                    return await listed(tls, bob) == 401

                await became(bob_is_out)
                assert [await listed(tls, token) for token in (ann, another)] == [200, 200]
        finally:
            process.send_signal(signal.SIGTERM)
            with anyio.fail_after(20):
                await process.wait()


async def member(sim: Simulator, port: int, token: str) -> None:
    """Do what a new member does: open the page, check the token, and ask over what it says."""
    async with client(port) as http:

        async def answers() -> bool:
            try:
                return (await http.get("/runapi/")).status_code == 200
            except httpx.ConnectError:
                return False

        await became(answers, 60)
        path = facts(await http.get("/runapi/"))["path"]
        assert path == "/runapi/mcp"
        own = {"Origin": "https://mcp.example.com", "Authorization": f"Bearer {token}"}
        http.headers.update(own)
        assert (await used(http, path))["caller"] == "ann"
        message = tool_call(1, "ask_gemini", modern=True, prompt="From a new member [[sim:slow seconds=0.5]]")
        answer = await http.post(path, json=message, headers=modern_headers(message))
        assert events(answer)[-1]["result"]["_meta"]["ai.runapi/receipt"]["status"] == "complete"
    assert len(sim.calls) == 1


async def listed(port: int, token: str) -> int:
    message = tool_call(1, "list_models", modern=True)
    async with client(port) as http:
        answer = await http.post(
            "/runapi/mcp",
            json=message,
            headers=modern_headers(message) | {"Authorization": f"Bearer {token}"},
        )
    return answer.status_code


def client(port: int) -> httpx.AsyncClient:
    trusting_all = ssl.create_default_context()
    trusting_all.check_hostname = False
    trusting_all.verify_mode = ssl.CERT_NONE
    return httpx.AsyncClient(
        base_url=f"https://127.0.0.1:{port}",
        verify=trusting_all,
        timeout=20,
        headers={"Host": "mcp.example.com"},
    )
