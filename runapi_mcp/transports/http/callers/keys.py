"""Each caller's bearer is a RunAPI key of their own: it pays for their calls and says who they are."""

import hashlib
from typing import Final

from mcp.server.auth.provider import AccessToken
from pydantic import SecretStr

from runapi_mcp.server.caller import KEY_CLAIM
from runapi_mcp.settings import key_problem

_DIGEST_CHARS: Final = 32


class CallersKeys:
    """Takes any key that could be one; RunAPI is the judge of it."""

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return whom a key stands for: a digest of it, with the key where no repr shows it."""
        if key_problem("key", token):
            return None
        owner = f"key:{hashlib.sha256(token.encode()).hexdigest()[:_DIGEST_CHARS]}"
        return AccessToken(token="", client_id=owner, scopes=[], claims={KEY_CLAIM: SecretStr(token)})
