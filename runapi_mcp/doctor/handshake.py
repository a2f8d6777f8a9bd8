"""A host's first seconds with a server: start it, greet it, ask for its tools, and see what comes.

Raw lines rather than an MCP client: what matters here is what a client hides, such as a stray line
on stdout, an exit code, the last words on stderr, and the environment exactly as the host gives it.
"""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

from runapi_mcp import __version__

_LINE: Final = 4 * 1024 * 1024
_LAST_WORDS: Final = 2000
_GRACE: Final = 2.0
_MOST_LINES: Final = 1000
_OLD: Final = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "runapi-mcp-doctor", "version": __version__},
}
_NEW: Final = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}


@dataclass(frozen=True, slots=True)
class Spawn:
    """What to start: command and arguments, the whole environment, the working directory."""

    words: Sequence[str]
    env: Mapping[str, str]
    cwd: str | None = None
    modern: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What the host would have seen.

    Attributes:
        problem: Why there are no tools; empty if there are.
        seconds: From the start of the process to its list of tools.
        tools: Their names.
        version: What the server says its version is.
        stray: The first line on stdout that was no message.
        last_words: The end of stderr.
    """

    problem: str = ""
    seconds: float = 0.0
    tools: tuple[str, ...] = ()
    version: str = ""
    stray: str = ""
    last_words: str = ""


class _Wrong(Exception):
    """The server answered, and not as it should."""


async def shake(spawn: Spawn, *, limit: float, clock: Callable[[], float]) -> Seen:
    """Return what a host sees that starts `spawn`, within `limit` seconds."""
    began = clock()
    try:
        process = await anyio.open_process(
            list(spawn.words), env=dict(spawn.env), cwd=spawn.cwd, stderr=subprocess.PIPE
        )
    except OSError as error:
        return Seen(problem=f"{spawn.words[0]} could not be started: {error.strerror or error}.")
    talk = _Talk(process)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(talk.listen_to_stderr)
            seen = await _tools(talk, spawn, limit)
            seen = replace(seen, seconds=clock() - began)
            await talk.end()
            tasks.cancel_scope.cancel()
    finally:
        await talk.kill()
    return replace(seen, stray=talk.stray, last_words=talk.last_words)


async def _tools(talk: "_Talk", spawn: Spawn, limit: float) -> Seen:
    try:
        with anyio.fail_after(limit):
            return await _greet(talk, modern=spawn.modern)
    except TimeoutError:
        return Seen(problem=f"It did not list its tools within {limit:g} s.")
    except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
        return Seen(problem=f"It ended before it listed its tools (exit code {await talk.exit_code()}).")
    except anyio.DelimiterNotFound:
        return Seen(problem="It wrote a line on stdout that does not end.")
    except _Wrong as wrong:
        return Seen(problem=str(wrong))


async def _greet(talk: "_Talk", *, modern: bool) -> Seen:
    if modern:
        greeting = await talk.ask(1, "server/discover", _NEW)
    else:
        greeting = await talk.ask(1, "initialize", _OLD)
        await talk.say({"method": "notifications/initialized"})
    listed = await talk.ask(2, "tools/list", _NEW if modern else {})
    about = greeting.get("serverInfo") or (greeting.get("_meta") or {}).get(
        "io.modelcontextprotocol/serverInfo", {}
    )
    names = tuple(str(tool.get("name")) for tool in listed.get("tools", []))
    return Seen(tools=names, version=str(about.get("version", "")))


class _Talk:
    """Lines to and from one process."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self._process = process
        self._lines = BufferedByteReceiveStream(process.stdout)
        self._stderr = b""
        self.stray = ""

    @property
    def last_words(self) -> str:
        return self._stderr.decode(errors="replace").strip()

    async def say(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.send(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    async def ask(self, number: int, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of a request, past notifications and stray lines."""
        await self.say({"id": number, "method": method, "params": params})
        for _ in range(_MOST_LINES):
            message = self._read(await self._lines.receive_until(b"\n", _LINE))
            if message.get("id") != number or "method" in message:
                continue
            if not isinstance(result := message.get("result"), dict):
                raise _Wrong(f"It answered {method} with an error: {json.dumps(message.get('error'))[:200]}")
            return result
        raise _Wrong(f"It wrote {_MOST_LINES} lines and did not answer {method}.")

    def _read(self, line: bytes) -> dict[str, Any]:
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if isinstance(message, dict):
            return message
        if line.strip():
            self.stray = self.stray or line.decode(errors="replace").strip()[:200]
        return {}

    async def listen_to_stderr(self) -> None:
        stderr = self._process.stderr
        assert isinstance(stderr, ByteReceiveStream)
        async for piece in stderr:
            self._stderr = (self._stderr + piece)[-_LAST_WORDS:]

    async def exit_code(self) -> int | None:
        with anyio.move_on_after(_GRACE):
            await self._process.wait()
        return self._process.returncode

    async def end(self) -> None:
        """Leave as a host does: close stdin, and give it a moment."""
        assert self._process.stdin is not None
        await self._process.stdin.aclose()
        with anyio.move_on_after(_GRACE):
            await self._process.wait()

    async def kill(self) -> None:
        """Make sure that nothing stays."""
        with anyio.CancelScope(shield=True):
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            await self._process.aclose()
