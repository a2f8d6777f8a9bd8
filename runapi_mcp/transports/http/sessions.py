"""The 2025-era sessions of one server: whose they are, what is open in them, and which goes for a new one.

Some clients open a session for each call and never close one. So when there are as many as there may
be, the idle session that was used longest ago goes, of whoever has the most: its client is answered 404
and opens another, as the protocol says. Nobody is locked out by what another left behind.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from starlette.types import Scope

from runapi_mcp.transports.http.auth import token_of
from runapi_mcp.transports.http.bodies import principal_of

IDLE_SECONDS: Final = 1800.0
"""How long a session may stay unused before it ends."""


@dataclass(eq=False, slots=True)
class Session:
    """One session.

    Attributes:
        id: As its header says it.
        owner: Whose share it counts to.
        user: The principal that opened it, as the SDK knows it.
        requests: The ids of its requests in progress, by the text that the SDK keeps them under.
        streams: Its open streams for what the server says by itself.
        token: Which of its owner's tokens was used last, where that can be revoked.
        used: When it was last used.
    """

    id: bytes
    owner: str
    user: object
    requests: dict[str, str | int] = field(default_factory=dict)
    streams: int = 0
    token: str = ""
    used: float = 0.0


class Sessions:
    """All of them.

    Args:
        most: Sessions at once.
        end: Ends one in the SDK.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        most: int,
        end: Callable[[Session], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._end = end
        self._clock = clock
        self._sessions: dict[bytes, Session] = {}  # the one that was used longest ago first
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._sessions)

    def find(self, session_id: bytes | None, owner: str) -> Session | None:
        """Return a caller's own session, if it is open; another's is unknown."""
        session = self._sessions.get(session_id) if session_id else None
        if session is None or (session.user is not None and session.owner != owner):
            return None
        return session

    async def make_room(self, owner: str) -> bool:
        """See that `owner` can open a session; false if only sessions in use could make room for it."""
        self._forget_ended()
        while len(self._sessions) >= self._most:
            session = self._expendable(owner)
            if session is None:
                return False
            self.forget(session)
            await self._end(session)
        return True

    def add(self, session_id: bytes, scope: Scope) -> None:
        """Note a session that was opened."""
        session = Session(
            session_id, principal_of(scope), scope.get("user"), token=token_of(scope), used=self._clock()
        )
        self._sessions[session_id] = session
        self._held[session.owner] += 1

    def of_tokens(self, ids: frozenset[str]) -> list[Session]:
        """Return the sessions that were used last with one of these tokens."""
        return [session for session in self._sessions.values() if session.token in ids]

    def forget(self, session: Session) -> None:
        """Note that a session is over."""
        if self._sessions.pop(session.id, None) is not None:
            self._held[session.owner] -= 1
            if not self._held[session.owner]:
                del self._held[session.owner]

    @contextmanager
    def in_use(self, session: Session, *, stream: bool = False) -> Iterator[None]:
        """Note that a session is used until the block ends."""
        session.streams += stream
        self._touch(session)
        try:
            yield
        finally:
            session.streams -= stream
            self._touch(session)

    def _touch(self, session: Session) -> None:
        session.used = self._clock()
        if self._sessions.pop(session.id, None) is not None:
            self._sessions[session.id] = session

    def _forget_ended(self) -> None:
        oldest = self._clock() - IDLE_SECONDS
        for session in list(self._sessions.values()):
            if session.used > oldest:
                break
            if not session.requests and not session.streams:
                self.forget(session)

    def _expendable(self, owner: str) -> Session | None:
        """Return the session that goes for one of `owner`'s: never of someone who has fewer."""
        idle = [
            each
            for each in self._sessions.values()
            if not each.requests and self._held[each.owner] >= self._held[owner]
        ]
        # A stream alone is no use: it would be opened again at once. But those without one go first.
        return max(idle, key=lambda each: (self._held[each.owner], not each.streams), default=None)
