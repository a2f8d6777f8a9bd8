"""Who is asking, as far as a request tells: the host by its name, the principal by its credential."""

from typing import Any, Final, TypeAlias

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.context import ServerRequestContext
from pydantic import SecretStr
from starlette.requests import Request

from runapi_mcp.run import Caller

Context: TypeAlias = ServerRequestContext[Any, Any]
"""What a handler is given beside its parameters."""

KEY_CLAIM: Final = "runapi_mcp.key"
"""Under this name a verified credential carries its holder's own RunAPI key, if it is one."""
LOCAL: Final = "local"
"""The principal of a server that lets everyone in who can reach it: whoever uses this machine."""


def caller_of(ctx: Context) -> Caller:
    """Return the caller of a request."""
    params = ctx.session.client_params
    credential = _credential(ctx.request)
    return Caller(
        host=params.client_info.name if params else None,
        wants_progress=ctx.meta is not None and "progress_token" in ctx.meta,
        owner=credential.client_id if credential else LOCAL,
        key=_key(credential),
    )


def _credential(request: object) -> AccessToken | None:
    """Return what a request over the network was let in with; on stdio there is no request."""
    user = request.scope.get("user") if isinstance(request, Request) else None
    return user.access_token if isinstance(user, AuthenticatedUser) else None


def _key(credential: AccessToken | None) -> SecretStr | None:
    key = (credential.claims or {}).get(KEY_CLAIM) if credential else None
    return key if isinstance(key, SecretStr) else None
