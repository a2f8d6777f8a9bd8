"""The three forms a key may come in; each is accepted on every route (docs/wire.md §1.2)."""

from collections.abc import Mapping

from starlette.datastructures import Headers

from runapi_mcp.sim.record import AuthForm

AUTH_HEADERS = ("authorization", "x-goog-api-key", "x-api-key")


def auth_form(headers: Headers) -> AuthForm | None:
    """Which header carries a key; a bearer token comes first."""
    if headers.get("authorization", "").lower().startswith("bearer "):
        return "bearer"
    if "x-goog-api-key" in headers:
        return "x-goog-api-key"
    return "x-api-key" if "x-api-key" in headers else None


def offered_key(headers: Headers) -> str:
    """The key itself, empty when there is none. Compare it, do not keep it."""
    match auth_form(headers):
        case "bearer":
            return headers["authorization"][len("bearer ") :].strip()
        case None:
            return ""
        case name:
            return headers[name].strip()


def shown(headers: Headers) -> Mapping[str, str]:
    """The headers with every key replaced by `<key>`."""
    return {name: "<key>" if name in AUTH_HEADERS else value for name, value in headers.items()}
