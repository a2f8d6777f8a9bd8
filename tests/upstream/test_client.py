"""A client that the environment makes impossible says so at its first request, without a password in it."""

import threading

import pytest
from pydantic import SecretStr

from runapi_mcp.errors import SettingsError
from runapi_mcp.settings import Settings
from runapi_mcp.upstream import http as client
from runapi_mcp.upstream.client import Upstream

PASSWORD = "pass-canary"  # made up
PROXIES = {
    "ALL_PROXY": f"socks4://u:{PASSWORD}@127.0.0.1:9",
    "HTTPS_PROXY": f"http://u:{PASSWORD}@:bad",
}
FILES = {"SSL_CERT_FILE": "/nowhere/certificates.pem", "SSLKEYLOGFILE": "/nowhere/keys.log"}


@pytest.fixture(autouse=True)
def no_context_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", *FILES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for thread in threading.enumerate():
        if thread.name == "trusted certificates":
            thread.join()  # another test's, which may still be building its own
    client._build_tls_context.cache_clear()


async def refused() -> str:
    settings = Settings(base_url="https://runapi.invalid")
    client.warm(settings)
    upstream = Upstream(settings)
    with pytest.raises(SettingsError) as error:
        await upstream.models(key=SecretStr("simulated-key"))
    await upstream.aclose()
    return str(error.value)


@pytest.mark.parametrize("name", PROXIES)
async def test_a_proxy_that_cannot_be_used_is_named_at_the_first_request(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, PROXIES[name])
    said = await refused()
    assert name in said
    assert PASSWORD not in said


@pytest.mark.parametrize("port", ["65536", "99999", "x", "-1"])
async def test_a_proxy_at_a_port_that_none_can_have_is_no_bug_of_ours(
    port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{port}")
    assert "ALL_PROXY" in await refused()


def test_socks_without_its_version_is_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """So desktops write it (NousResearch/hermes-agent#95051), and httpx knows only the numbered."""
    for written in ("socks://127.0.0.1:7890/", "SOCKS://127.0.0.1:7890/"):
        monkeypatch.setenv("ALL_PROXY", written)
        assert client.read_proxies("https://runapi.invalid")["proxy"] == "socks5://127.0.0.1:7890/"


@pytest.mark.parametrize("name", FILES)
async def test_certificates_that_cannot_be_read_are_named_at_the_first_request(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, FILES[name])
    assert name in await refused()
