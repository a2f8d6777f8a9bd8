"""Connections: so many at once, a share for each address, and nobody turned away without a word.

A protocol of asyncio's in front of the HTTP server's own. Of that nothing is known but that it is one;
which connections are in use, the application says.
"""

import asyncio
import ipaddress
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final, Literal, ParamSpec

RETRY_SECONDS: Final = 5
"""What those who are turned away are told to wait."""
LINGER_SECONDS: Final = 1.0
"""How long is read from whoever was turned away: bytes that nobody reads turn the answer into a reset."""

P = ParamSpec("P")
_State = Literal["waiting", "open", "probe", "leaving", "lost"]
MOST_READ: Final = 8_192
"""Bytes that are read of a connection before others have a turn."""
_NOWHERE: Final = ("", 0)
_LEAST_LINGERING: Final = 64
_MOST_PROBES: Final = 16
_PROBE: Final = re.compile(rb"(?:GET|HEAD) /+(?:healthz|readyz|metrics)/?[ ?]")


class Connections:
    """The connections of one server.

    Args:
        most: Connections at once. When there are as many, the oldest unused one of the address that
            has most of them makes room; where none is unused, the new one is answered 503.
        head_seconds: How long one may take to send a request's head, or stay unused.
        trusts: Whether an address is a proxy's, which speaks for many: others may have as many as
            would still be free for the rest.
    """

    def __init__(self, most: int, head_seconds: float, trusts: Callable[[str], bool]) -> None:
        self.most = most
        self.head_seconds = head_seconds
        self._trusts = trusts
        self._open: dict[tuple[str, int], Connection] = {}
        self._held: Counter[str] = Counter()
        self._unused: dict[str, dict[Connection, None]] = {}
        self._lingering: dict[Connection, None] = {}
        self._probes = 0
        self.refusal = _write_refusal(most)
        self.fresh = 0
        """How many have not sent a request yet."""

    def __len__(self) -> int:
        return len(self._open)

    def protocol(self, make: Callable[P, asyncio.Protocol]) -> Callable[P, "Connection"]:
        """Return what makes a connection's protocol, in front of what `make` makes."""

        def connection(*args: P.args, **kwargs: P.kwargs) -> Connection:
            return Connection(self, make(*args, **kwargs))

        return connection

    @contextmanager
    def in_use(self, client: tuple[str, int] | None) -> Iterator[None]:
        """Note that a request of this connection is being answered, for as long as the block lasts."""
        connection = self._open.get(tuple(client)) if client else None  # type: ignore[arg-type]
        if connection is None:
            yield
            return
        connection.begin()
        try:
            yield
        finally:
            connection.end()

    def admit(self, connection: "Connection") -> bool:
        """Count a connection in, and have others make room for it; false where nobody can."""
        place = connection.place
        full = len(self._open) >= self.most
        share = self._trusts(connection.address) or self._held[place] < self.most - len(self._open)
        if full or not share:
            unused = self._unused.get(place, {}) if not share else self._most_unused()
            if not unused:
                return False
            next(iter(unused)).turn_away()
        self._open[connection.peer] = connection
        self.fresh += 1
        self._held[place] += 1
        self.set_unused(connection)
        return True

    def admit_probe(self, connection: "Connection") -> bool:
        """Count a connection in that asks for the server's health: a few places are kept for those."""
        if self._probes >= _MOST_PROBES:
            return False
        self._probes += 1
        return True

    def forget_probe(self) -> None:
        """Count such a connection out."""
        self._probes -= 1

    def set_used(self, connection: "Connection") -> None:
        """Note that a connection is in use."""
        unused = self._unused.get(connection.place, {})
        unused.pop(connection, None)
        if not unused:
            self._unused.pop(connection.place, None)

    def set_unused(self, connection: "Connection") -> None:
        """Note that a connection is unused from now on; the youngest of those."""
        if self._open.get(connection.peer) is connection:
            self._unused.setdefault(connection.place, {})[connection] = None

    def forget(self, connection: "Connection") -> None:
        """Count a connection out."""
        if self._open.get(connection.peer) is connection:
            self.set_used(connection)
            self.fresh -= connection.fresh
            del self._open[connection.peer]
            self._held[connection.place] -= 1
            if not self._held[connection.place]:
                del self._held[connection.place]

    def linger(self, connection: "Connection") -> None:
        """Keep one that was turned away for a moment; of too many, the first goes at once."""
        self._lingering[connection] = None
        if len(self._lingering) > max(_LEAST_LINGERING, self.most // 4):
            next(iter(self._lingering)).close()

    def gone(self, connection: "Connection") -> None:
        """Forget one that was turned away."""
        self._lingering.pop(connection, None)

    def close_lingering(self) -> None:
        """Close those that were turned away or are about to be: the HTTP server knows none of them."""
        for connection in list(self._lingering):
            connection.close()

    def _most_unused(self) -> "dict[Connection, None]":
        return max(self._unused.values(), key=len, default={})


def _write_refusal(most: int) -> bytes:
    """Return the response to whoever there is no room for."""
    about = (
        f"{most:,} connections are open, as many as this server takes, or as many of yours as leave others "
        f"room. Close one of yours, or try again in {RETRY_SECONDS} s."
    )
    body = json.dumps({"error": "busy", "error_description": about}).encode()
    head = (
        f"HTTP/1.1 503 Service Unavailable\r\nRetry-After: {RETRY_SECONDS}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


@lru_cache(maxsize=4_096)
def place_of(address: str) -> str:
    """Return whose share an address counts to: it, or the IPv6 network that a customer is given whole."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if ip.version == 4:
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))


class Connection(asyncio.Protocol):
    """One connection, from its first byte to its last."""

    def __init__(self, all_of_them: Connections, inner: asyncio.Protocol) -> None:
        self._all = all_of_them
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._requests = 0
        self._answered = False
        self.fresh = True
        self._state: _State = "waiting"
        self.peer: tuple[str, int] = _NOWHERE

    @property
    def address(self) -> str:
        """The address at the other end."""
        return self.peer[0]

    @property
    def place(self) -> str:
        """Whose share the connection counts to."""
        return place_of(self.address)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request; where there is no room, to say so."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if hasattr(transport, "max_size"):
            # asyncio reads a quarter of a megabyte at once: of chunks of a byte each, two seconds' work.
            transport.max_size = MOST_READ
        peer = transport.get_extra_info("peername")
        self.peer = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else _NOWHERE
        if self._all.admit(self):
            self._begin("open")
        else:
            self._all.linger(self)
        self._wait(self._all.head_seconds)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on; the time for a head runs while there is a part of one."""
        if self._state == "waiting":
            if not (_PROBE.match(data) and self._all.admit_probe(self)):
                return self.turn_away()
            self._all.gone(self)
            self._begin("probe")
        if self._state != "leaving":
            self._inner.data_received(data)
            if not self._requests and self._timer is None:
                self._wait(self._all.head_seconds)
        return None

    def eof_received(self) -> bool | None:
        """Pass the end of what the client sends on."""
        return self._inner.eof_received() if self._state in {"open", "probe"} else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        self._all.gone(self)
        self._all.forget(self)
        if self._state == "probe":
            self._all.forget_probe()
        begun, self._state = self._state in {"open", "probe"}, "lost"
        if begun:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass on that the client reads too slowly."""
        if self._state in {"open", "probe"}:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that it reads again."""
        if self._state in {"open", "probe"}:
            self._inner.resume_writing()

    def begin(self) -> None:
        """Note that a request is being answered."""
        self._requests += 1
        self._all.fresh -= self.fresh
        self.fresh = False
        self._all.set_used(self)
        self._stop_waiting()

    def end(self) -> None:
        """Note that it is answered."""
        self._requests -= 1
        if not self._requests:
            self._answered = True
            self._all.set_unused(self)

    def turn_away(self) -> None:
        """Say that there is no room, and go; one that was answered before is closed, as clients expect."""
        self._stop_waiting()
        self._all.forget(self)
        transport = self._transport
        if transport is None or self._state in {"leaving", "lost"}:
            return None
        if self._answered:
            return transport.close()
        if self._state == "open":
            # With a reason, for without one it would close the transport itself.
            self._inner.connection_lost(ConnectionAbortedError())
        self._state = "leaving"
        transport.write(self._all.refusal)
        if transport.can_write_eof():
            transport.write_eof()
        self._all.linger(self)
        self._wait(LINGER_SECONDS)
        return None

    def close(self) -> None:
        """Close the connection now."""
        self._stop_waiting()
        self._all.gone(self)
        if self._transport is not None:
            self._transport.close()

    def _begin(self, state: "_State") -> None:
        self._state = state
        assert self._transport is not None
        self._inner.connection_made(self._transport)

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if not self._requests:
            self.close()
