"""What is kept in Redis, and under which names. Nothing here names a key of RunAPI, or a principal.

=============================  ==========  =====================================================
`runapi-mcp:1:g:DIGEST`        hash        facts of a generation; DIGEST is of its owner and handle
`runapi-mcp:1:t:DIGEST`        stream      its text, in batches
`runapi-mcp:1:same:DIGEST`     string      handle of the generation that answers a question
`runapi-mcp:1:server:ID`       string      a server's sign of life; expires when it is gone
`runapi-mcp:1:tell:ID`         list        what others tell a server: stop this one, keep that one
`runapi-mcp:1:pace:NAME`       string      RunAPI asked this key to wait; expires when the wait is over
`runapi-mcp:1:used:DAY:NAME`   hash        tokens a principal has used that day, by server
`runapi-mcp:1:calls:NAME`      sorted set  a principal's running generations, by when each lapses
=============================  ==========  =====================================================
"""

import hashlib
from typing import Final

PREFIX: Final = "runapi-mcp:1:"


def digest(*parts: str) -> str:
    """Return a name that only who knows all parts can make, and that tells none of them."""
    framed = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(framed.encode("utf-8", "surrogatepass")).hexdigest()


def name_of(owner: str, handle: str) -> str:
    """Return the name under which Redis has a generation; who lacks the owner or handle cannot make it."""
    return digest(owner, handle)


def facts_key(name: str) -> str:
    """Return where a generation's facts are."""
    return f"{PREFIX}g:{name}"


def text_key(name: str) -> str:
    """Return where a generation's text is."""
    return f"{PREFIX}t:{name}"


def same_key(same_as: str) -> str:
    """Return where the handle of a question's generation is."""
    return f"{PREFIX}same:{same_as}"


def server_key(server: str) -> str:
    """Return where a server's sign of life is."""
    return f"{PREFIX}server:{server}"


def tell_key(server: str) -> str:
    """Return where a server is told things."""
    return f"{PREFIX}tell:{server}"


def pace_key(name: str) -> str:
    """Return where a wait is noted."""
    return f"{PREFIX}pace:{name}"


def used_key(day: str, name: str) -> str:
    """Return where a principal's tokens of a day are counted."""
    return f"{PREFIX}used:{day}:{name}"


def calls_key(name: str) -> str:
    """Return where a principal's running generations are."""
    return f"{PREFIX}calls:{name}"
