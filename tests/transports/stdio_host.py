"""A host on raw pipes of the echo server, in either era."""

import os
import sys
import time
from pathlib import Path
from typing import Any, Self

import pytest
from forked import forked_script
from messages import ENVELOPE, INITIALIZE, INITIALIZED, Message
from messages import request as any_request
from piped import PATIENCE, PipedHost

SERVER = Path(__file__).with_name("echo_server.py")
NON_BLOCKING = (
    "import os, sys; [os.set_blocking(fd, False) for fd in (0, 1)]; os.execv(sys.argv[1], sys.argv[1:])"
)


def request(number: int | str, method: str, meta: Message | None = None, **params: Any) -> Message:
    return any_request(number, method, params | ({"_meta": meta} if meta else {}))


def call(number: int | str, tool: str, meta: Message | None = None, **arguments: str) -> Message:
    return request(number, "tools/call", meta, name=tool, arguments=arguments)


def text_of(answer: Message) -> str:
    text = answer["result"]["content"][0]["text"]
    assert isinstance(text, str)
    return text


class Host(PipedHost):
    def __init__(self, *, modern: bool = False, non_blocking: bool = False, fresh: bool = False) -> None:
        self.meta = ENVELOPE if modern else None
        prelude = [sys.executable, "-c", NON_BLOCKING] if non_blocking else []
        server = [sys.executable, str(SERVER)] if fresh or non_blocking else forked_script(str(SERVER))
        super().__init__([*prelude, *server])

    def open(self) -> Self:
        """Greet the server and wait until it is up."""
        if self.meta:
            self.send(request(0, "server/discover", self.meta))
        else:
            self.send(INITIALIZE, INITIALIZED)
        assert "result" in self.answer(0)
        return self

    def answer(self, number: int | str | None, seconds: float = PATIENCE) -> Message:
        """The next answer with this id, past any notification; another answer is a failure."""
        while "method" in (message := self.receive(seconds)):
            pass
        assert message["id"] == number, message
        return message

    def ask(self, message: Message) -> Message:
        self.send(message)
        return self.answer(message["id"])

    def leaves(self) -> str:
        """Wait for a clean exit in time; returns what was written to stderr.

        The promise is one second (0.25 s where nothing else runs); a busy machine is given more, but less
        than what a tool here would keep the process for.
        """
        status, noise = self.left(within=10.0)
        assert status == 0, noise
        assert "Traceback" not in noise, noise
        assert "rror" not in noise
        return noise

    def resident_bytes(self) -> int:
        if sys.platform != "linux":
            pytest.skip("the memory of a process is looked up in /proc")
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


def wait_for(path: Path) -> None:
    """Wait for another process to leave its mark."""
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not happen"
        time.sleep(0.002)
