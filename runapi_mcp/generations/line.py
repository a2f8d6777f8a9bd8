"""What one generation needs of RunAPI, with the key, the trace and the times already settled."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TypeAlias

from runapi_mcp.wire.types import Call, Event

Ask: TypeAlias = Callable[[Call], AbstractAsyncContextManager[AsyncGenerator[Event, None]]]
Resolve: TypeAlias = Callable[[Sequence[str]], Awaitable[dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Line:
    """One generation's line to RunAPI.

    Attributes:
        base_url: Where it leads.
        ask: Opens the stream that answers a call; see :meth:`Upstream.stream`.
        resolve: Finds where links of an answer lead; see :meth:`Upstream.redirects`.
    """

    base_url: str
    ask: Ask = field(repr=False)
    resolve: Resolve = field(repr=False)
