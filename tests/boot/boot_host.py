"""A host on raw pipes, for a server whose import it can hold up."""

import os
import select
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from messages import INITIALIZE, META, Message, request
from piped import PATIENCE, PipedHost

SERVER: Final = Path(__file__).with_name("gated_server.py")


def initialize(number: int | str = 0, revision: str = "2025-11-25", **client: Any) -> Message:
    usual = INITIALIZE["params"]
    hello = usual | {"protocolVersion": revision, "clientInfo": usual["clientInfo"] | client}
    return request(number, "initialize", hello)


def envelope(revision: str = "2026-07-28", **more: object) -> Message:
    return {"_meta": {f"{META}protocolVersion": revision, f"{META}clientCapabilities": {}} | more}


def call(number: int | str, tool: str, **arguments: Any) -> Message:
    return request(number, "tools/call", {"name": tool, "arguments": arguments})


class BootHost(PipedHost):
    """Starts the server; it cannot import the SDK until `let_in()`."""

    def __init__(self, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        gate, self._gate = os.pipe()
        self._reached, reached = os.pipe()
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("RUNAPI_", "GOOGLE_"))
        }
        super().__init__(
            [sys.executable, SERVER, str(gate), str(reached), *arguments],
            env={**clean, **(env or {})},
            pass_fds=[gate, reached],
        )
        os.close(gate)
        os.close(reached)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_in()
        os.close(self._reached)
        super().__exit__(kind, error, trace)

    def wait_at_the_gate(self) -> None:
        """Return when the server has come to the import of the SDK."""
        assert select.select([self._reached], [], [], PATIENCE)[0], "the server imports nothing"

    def let_in(self) -> None:
        """Let the import go on."""
        if self._gate >= 0:
            os.close(self._gate)
        self._gate = -1

    def ids(self, count: int) -> list[int | str | None]:
        """The ids of the next answers, in order."""
        return [self.receive()["id"] for _ in range(count)]

    def leaves(self, within: float = PATIENCE) -> tuple[int, str]:
        """Wait for the exit; return its status and what was written to stderr."""
        return self.left(within)
