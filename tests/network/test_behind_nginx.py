"""As an operator runs it: nginx with TLS in front, under a path of a site that has others."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from messages import INITIALIZE
from server.hosting import PATIENCE

from network.raw_web import ACCEPT
from network.web_host import NETWORK, served, web_host
from runapi_mcp.sim import Simulator
from runapi_mcp.transports.http.tokens import TokenList

NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
OPENSSL = shutil.which("openssl")
TOKEN = "token-of-ada-0123456789"
BEARER = {"Authorization": f"Bearer {TOKEN}"}

# What the site's owner writes; the server is told of the prefix by the header, or by --path-prefix.
TEAM = Path(__file__).parents[2] / "docs" / "team.md"
CONFIG = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/cert.pem;
        ssl_certificate_key {folder}/key.pem;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host mcp.example.com;
        proxy_set_header X-Forwarded-Proto https;
        proxy_buffering off;
        location /runapi/ {{
            {told}
            proxy_pass http://{server}{stripped};
        }}
        location / {{ return 404; }}
    }}
}}
"""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for localhost, which the clients of these tests trust."""
    if OPENSSL is None or NGINX is None:
        pytest.skip("no nginx or openssl on this machine: apt-get install nginx-light openssl")
    folder = tmp_path_factory.mktemp("nginx")
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem", "-days", "2"]
    command = [OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *names]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@contextmanager
def nginx(
    folder: Path, server: str, told: str, stripped: str, *, as_documented: bool = False
) -> Iterator[str]:
    """Run nginx before a server; gives the URL under which it is reached."""
    assert NGINX is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "nginx.conf"
    text = CONFIG.format(folder=folder, port=port, server=server, told=told, stripped=stripped)
    if as_documented:
        page = TEAM.read_text(encoding="utf-8")
        block = page.partition("```nginx\n")[2].partition("```")[0]
        for theirs, here in (
            ("443 ssl", f"127.0.0.1:{port} ssl"),
            ("/etc/ssl/mcp.pem", f"{folder}/cert.pem"),
            ("/etc/ssl/mcp.key", f"{folder}/key.pem"),
            ("127.0.0.1:8080", server),
            ("$host", "mcp.example.com"),
        ):
            assert theirs in block
            block = block.replace(theirs, here)
        text = text[: text.index("    server {")] + block + "}\n"
    config.write_text(text)
    process = subprocess.Popen([NGINX, "-c", str(config), "-p", str(folder)], stderr=subprocess.PIPE)
    try:
        yield f"https://localhost:{port}/runapi"
    finally:
        process.terminate()
        process.wait(PATIENCE)
        assert process.stderr is not None
        process.stderr.close()


def trust(certificate: Path) -> ssl.SSLContext:
    """Return what trusts the certificate."""
    return ssl.create_default_context(cafile=str(certificate / "cert.pem"))


async def reachable(url: str, certificate: Path) -> None:
    """Wait until a proxy takes connections."""
    async with httpx.AsyncClient(verify=trust(certificate)) as http:
        with anyio.fail_after(PATIENCE):
            while True:
                try:
                    await http.get(url)
                except httpx.ConnectError:
                    await anyio.sleep(0.02)
                else:
                    return


@asynccontextmanager
async def site(sim: Simulator, certificate: Path, way: str) -> AsyncIterator[str]:
    """The URL of a server behind nginx that is told of its prefix one way or the other."""
    forwarded = way != "flag"
    options: dict[str, Any] = {} if forwarded else {"path_prefix": "/runapi"}
    told = "proxy_set_header X-Forwarded-Prefix /runapi;" if forwarded else ""
    auth = TokenList.read(f"ada:{TOKEN}")
    async with served(sim, auth, allowed_hosts=("mcp.example.com",), **options) as inner:
        server = inner.removeprefix("http://").partition("/")[0]
        stripped = "/" if forwarded else ""
        with nginx(certificate, server, told, stripped, as_documented=way == "as documented") as url:
            await reachable(url, certificate)
            yield url


@pytest.mark.parametrize("way", ["header", "flag", "as documented"])
@pytest.mark.parametrize("kind", NETWORK)
async def test_a_call_comes_through_tls_and_a_prefix(
    sim: Simulator, certificate: Path, monkeypatch: pytest.MonkeyPatch, way: str, kind: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    async with site(sim, certificate, way) as url, web_host(kind, url, headers=BEARER) as host:
        result = await host.client.call_tool("ask_gemini", {"prompt": "Why is the sky blue?"})
    assert not result.is_error
    assert "simulated" in str(result.content)


async def test_what_counts_callers_is_not_shown_outside(sim: Simulator, certificate: Path) -> None:
    async with (
        site(sim, certificate, "as documented") as url,
        httpx.AsyncClient(verify=trust(certificate)) as http,
    ):
        shown = [(await http.get(f"{url}/{path}")).status_code for path in ("healthz", "metrics")]
    assert shown == [200, 404]


async def test_a_slash_at_the_end_leads_nobody_out_of_tls(sim: Simulator, certificate: Path) -> None:
    async with (
        site(sim, certificate, "header") as url,
        httpx.AsyncClient(verify=trust(certificate), headers=BEARER) as http,
    ):
        answer = await http.post(f"{url}/mcp/", json=INITIALIZE, headers=ACCEPT)
        refused = await http.post(f"{url}/mcp", json=INITIALIZE, headers=ACCEPT | {"Authorization": ""})
    assert answer.status_code == 200
    assert "location" not in answer.headers
    assert refused.status_code == 401
    assert "Authorization" in refused.json()["error_description"]
