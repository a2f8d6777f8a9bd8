"""One question to an upstream, and what came of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

from runapi_mcp.errors import RunapiError
from runapi_mcp.models import DialectName
from runapi_mcp.settings import Settings
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.upstream.http import Trace
from runapi_mcp.wire.fold import Fold
from runapi_mcp.wire.types import Answer, Call, Text, Turn

CANARY = "sk-canary-0123456789"
KEY = SecretStr(CANARY)
ASK = Call("gemini-3-flash-preview", (Turn("user", (Text("Why is the sky blue?"),)),))


@dataclass
class Outcome:
    """How a question ended."""

    fold: Fold = field(default_factory=Fold)
    trace: Trace = field(default_factory=Trace)
    answer: Answer | None = None
    error: RunapiError | None = None

    @property
    def text(self) -> str:
        return self.fold.partial().text


@asynccontextmanager
async def upstream_at(base_url: str, **changes: Any) -> AsyncIterator[Upstream]:
    """An upstream with short limits; `changes` are settings."""
    short: dict[str, Any] = {"idle_timeout": 1.0, "deadline": 5.0, "connect_timeout": 1.0}
    upstream = Upstream(Settings(key=KEY, base_url=base_url, **(short | changes)))
    try:
        yield upstream
    finally:
        await upstream.aclose()


async def ask(
    upstream: Upstream, dialect: DialectName = "chat", *, call: Call = ASK, patience: float = 0.0
) -> Outcome:
    """Ask, fold, and return what came of it."""
    outcome = Outcome()
    try:
        asked = upstream.stream(
            call, dialect, key=KEY, trace=outcome.trace, patience=patience, ending=outcome.fold.ending
        )
        async with asked as events:
            async for several in events:
                for event in several:
                    outcome.fold.feed(event)
            outcome.answer = outcome.fold.answer()
    except RunapiError as error:
        outcome.error = error
    return outcome
