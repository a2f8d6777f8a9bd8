"""The flags of `runapi-mcp serve --http`, read back as values."""

import argparse
from pathlib import Path

import pytest

from runapi_mcp.errors import SettingsError
from runapi_mcp.transports.http.auth import CallersKeys, JwtAuth
from runapi_mcp.transports.http.options import HttpOptions, add_flags, options_from
from runapi_mcp.transports.http.tokens import TokenFile, TokenList

TOKENS = "ada:token-of-ada-0123456789"


def given(line: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_flags(parser)
    return parser.parse_args(line.split())


def test_without_http_it_is_stdio() -> None:
    assert options_from(given(""), {}) is None


def test_what_is_not_given_is_the_default() -> None:
    assert options_from(given("--http"), {}) == (HttpOptions(), None)


def test_every_option_has_its_flag() -> None:
    flags = (
        "--http --host ::1 --port 0 --drain 25 --stateless --allowed-host a.example.com "
        "--allowed-host b.example.com:8443 --allowed-origin https://c.example.com --path-prefix /runapi "
        "--trusted-proxy 10.0.0.0/8 --auth key"
    )
    found = options_from(given(flags), {})
    assert found is not None
    assert found[0] == HttpOptions(
        host="::1",
        port=0,
        drain=25,
        stateless=True,
        allowed_hosts=("a.example.com", "b.example.com:8443"),
        allowed_origins=("https://c.example.com",),
        path_prefix="/runapi",
        trusted_proxies=("10.0.0.0/8",),
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--port 9", "--http"),
        ("--auth key", "--http"),
        ("--http --host 0.0.0.0", "--auth token"),
        ("--http --allowed-host mcp.example.com", "--auth token"),
        ("--http --allowed-host localhost --allowed-host 192.168.0.7:8443", "192.168.0.7:8443"),
        ("--http --allowed-host localhost.example.com", "leave --allowed-host out"),
        ("--http --allowed-host [2001:db8::1]:80", "2001:db8::1"),
        ("--http --auth token", "no token"),
        ("--http --auth token --tokens /nowhere/tokens", "cannot be read"),
        ("--http --tokens x", "--auth token"),
        ("--http --auth key --issuer https://idp.example.com", "--auth jwt"),
        ("--http --auth jwt", "--issuer"),
        ("--http --auth jwt --issuer http://idp.example.com --audience https://a.example.com/mcp", "issuer"),
        ("--http --auth jwt --issuer https://idp.example.com --audience runapi", "public-url"),
    ],
)
def test_what_does_not_fit_together_is_refused(flags: str, said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        options_from(given(flags), {})
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "name", ["localhost", "LOCALHOST:8443", "127.0.0.2", "127.0.0.1:80", "::1", "[::1]:80"]
)
def test_a_name_of_the_loopback_can_be_allowed_to_everyone(name: str) -> None:
    assert options_from(given(f"--http --allowed-host {name}"), {}) == (
        HttpOptions(allowed_hosts=(name,)),
        None,
    )


@pytest.mark.parametrize("flags", ["--port 65536", "--port x", "--drain -1", "--drain nan", "--auth basic"])
def test_a_value_that_is_none_is_refused(flags: str) -> None:
    with pytest.raises(argparse.ArgumentError):
        given(f"--http {flags}")


def test_each_way_in_can_be_chosen(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(TOKENS)
    expected = TokenList.read(TOKENS)
    public = "--http --host 0.0.0.0 --auth"
    ways = {
        f"{public} token": expected,
        f"{public} token --tokens {file}": expected,
        f"{public} jwt --issuer https://idp.example.com/ --audience https://a.example.com/mcp": JwtAuth(
            "https://idp.example.com/", "https://a.example.com/mcp", "https://a.example.com/mcp"
        ),
        f"{public} jwt --issuer https://i.example.com --audience runapi "
        "--public-url https://a.example.com/mcp --jwks-url https://i.example.com/keys": JwtAuth(
            "https://i.example.com", "runapi", "https://a.example.com/mcp", "https://i.example.com/keys"
        ),
    }
    for flags, expectation in ways.items():
        found = options_from(given(flags), {"RUNAPI_MCP_TOKENS": TOKENS})
        assert found is not None
        way = found[1].file.value if isinstance(found[1], TokenFile) else found[1]
        assert way == expectation
    keys = options_from(given(f"{public} key"), {})
    assert keys is not None
    assert isinstance(keys[1], CallersKeys)
