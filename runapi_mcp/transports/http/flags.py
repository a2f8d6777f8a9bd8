"""The flags of ``runapi-mcp serve``: added to a parser, and read back as values."""

import argparse
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from runapi_mcp.errors import SettingsError

if TYPE_CHECKING:
    from runapi_mcp.transports.http.auth import Auth, JwtAuth
    from runapi_mcp.transports.http.options import HttpOptions

TOKENS: Final = "RUNAPI_MCP_TOKENS"
"""The variable that may hold what the file of ``--tokens`` does."""
_OPTIONS: Final = (
    "host", "port", "drain", "allowed_hosts", "allowed_origins", "path_prefix", "trusted_proxies",
    "stateless", "ready_grace",
)  # fmt: skip
_AUTH: Final = ("auth", "tokens", "issuer", "audience", "jwks_url", "public_url")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add what ``serve`` takes; a flag that is not given leaves no trace."""
    parser.add_argument("--http", action="store_true", help="serve over the network instead of stdio")
    add = parser.add_argument_group("with --http", argument_default=argparse.SUPPRESS).add_argument
    add("--host", help="address to listen on; one that others reach needs --auth. Default: 127.0.0.1")
    add("--port", type=_port, help="port to listen on; 0 for any free one. Default: 8080")
    add("--drain", type=_seconds, metavar="S", help="seconds live calls get at the end. Default: 0")
    add(
        "--allowed-host",
        dest="allowed_hosts",
        action="append",
        metavar="NAME",
        help="a name it is reached by, besides this machine's; needs --auth; may be given again",
    )
    add(
        "--allowed-origin",
        dest="allowed_origins",
        action="append",
        metavar="URL",
        help="a web page's origin that may call; may be given again",
    )
    add("--path-prefix", metavar="PATH", help="what a proxy takes away from paths, such as /runapi")
    add(
        "--trusted-proxy",
        dest="trusted_proxies",
        action="append",
        metavar="NET",
        help="a proxy's address or network, whose X-Forwarded-Prefix counts; may be given again",
    )
    add(
        "--ready-grace",
        type=_seconds,
        metavar="S",
        help="seconds the store or the key may be missing before /readyz is 503. Default: 30",
    )
    add("--stateless", action="store_true", help="no sessions for 2025-era clients: any replica may answer")
    _add_auth_flags(parser)


def _add_auth_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("who may call", argument_default=argparse.SUPPRESS).add_argument
    add(
        "--auth",
        choices=("token", "key", "jwt"),
        help="token: bearer tokens that you hand out; key: each caller brings a RunAPI key; "
        "jwt: tokens of an identity provider",
    )
    add("--tokens", metavar="FILE", help=f"for token: NAME:TOKEN, one a line; or the same in {TOKENS}")
    add("--issuer", metavar="URL", help="for jwt: who makes the tokens")
    add("--audience", metavar="X", help="for jwt: whom they are for; best the URL of this server's /mcp")
    add("--jwks-url", metavar="URL", help="for jwt: where the issuer's keys are, if it does not say itself")
    add("--public-url", metavar="URL", help="for jwt: the URL of this server's /mcp. Default: --audience")


def options_from(
    given: argparse.Namespace, env: Mapping[str, str]
) -> "tuple[HttpOptions, Auth | None] | None":
    """Return the options that the flags stand for, and who may call; `None` is stdio.

    Raises:
        SettingsError: They do not fit together, or would let everyone in.
    """
    chosen = {name: getattr(given, name) for name in (*_OPTIONS, *_AUTH) if hasattr(given, name)}
    if not getattr(given, "http", False):
        if chosen:
            raise SettingsError(f"{', '.join(chosen)}: of use with --http only.", advice="Add --http.")
        return None
    from runapi_mcp.transports.http.options import HttpOptions

    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in chosen.items()
        if name in _OPTIONS
    }
    options = HttpOptions(**values)
    options.need_auth(chosen="auth" in chosen)
    return options, _auth(chosen, env)


def _auth(chosen: Mapping[str, str], env: Mapping[str, str]) -> "Auth | None":
    needed = {"tokens": "token", "issuer": "jwt", "audience": "jwt", "jwks_url": "jwt", "public_url": "jwt"}
    for flag, kind in needed.items():
        if flag in chosen and chosen.get("auth") != kind:
            name = flag.replace("_", "-")
            raise SettingsError(f"--{name} is of use with --auth {kind} only.", advice=f"Add --auth {kind}.")
    match chosen.get("auth"):
        case "token":
            from runapi_mcp.transports.http.tokens import TokenFile, TokenList

            return TokenFile(chosen["tokens"]) if "tokens" in chosen else TokenList.read(env.get(TOKENS, ""))
        case "key":
            from runapi_mcp.transports.http.auth import CallersKeys

            return CallersKeys()
        case "jwt":
            return _jwt(chosen)
        case _:
            return None


def _jwt(chosen: Mapping[str, str]) -> "JwtAuth":
    from runapi_mcp.settings import read_base_url
    from runapi_mcp.transports.http.auth import JwtAuth

    if "issuer" not in chosen or "audience" not in chosen:
        raise SettingsError("--auth jwt needs to know whose tokens.", advice="Add --issuer and --audience.")
    urls = {
        "issuer": chosen["issuer"],
        "public-url": chosen.get("public_url", chosen["audience"]),
        **({"jwks-url": chosen["jwks_url"]} if "jwks_url" in chosen else {}),
    }
    for name, url in urls.items():
        try:
            read_base_url(url)
        except ValueError as wanted:
            raise SettingsError(f"--{name} is {url!r}.", advice=f"It takes {wanted}.") from None
    return JwtAuth(chosen["issuer"], chosen["audience"], urls["public-url"], chosen.get("jwks_url"))


def _number(low: float, high: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = float(text)
        if not (math.isfinite(value) and low <= value <= high):
            raise argparse.ArgumentTypeError(f"a number from {low:g} to {high:g}")
        return value

    return number


_seconds = _number(0, 3600)


def _port(text: str) -> int:
    return int(_number(0, 65535)(text))
