"""The server's own key: where it is read, and how it is kept in the operating system's keyring.

A variable goes first (`settings` reads those); else, for those who ask for it, this machine's keyring:

    OwnKey ── Keychain ── key_helper (a process) ── keyring ── Secret Service, Keychain, Credential Locker

What is kept belongs to one RunAPI: the entry is named by the origin of the base URL, so a key is never
sent to another one. Nothing is asked before somebody wants the key, and no question takes longer than a
bounded time, whatever the keyring waits for.
"""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, Protocol, TypeAlias
from urllib.parse import urlsplit

import anyio
from anyio.abc import Process
from pydantic import SecretStr

from runapi_mcp import logs
from runapi_mcp.errors import KeyMissing, KeyringFailed
from runapi_mcp.printable import one_line
from runapi_mcp.progress import HEARTBEAT
from runapi_mcp.settings import KEY_NAMES, Settings, key_problem

Say: TypeAlias = Callable[[str], Awaitable[None]]
"""Reports a line of progress."""

SERVICE: Final = "runapi-mcp"
SERVER_SECONDS: Final = 20.0
"""How long a call waits for the keyring; a person may have to unlock it, and hosts give up after 60 s."""
PERSON_SECONDS: Final = 120.0
"""The same for a command that a person has just typed."""
_LEAST: Final = 3.0
"""Seconds that a keyring is given however short the hold window is; it answers in far less by itself."""
_PROMPT: Final = 1.0
"""Seconds after which a keyring is waiting for a person."""
_HELPER: Final = Path(__file__).with_name("key_helper.py")
_USERS: Final = Path("/run/user")
_LEAVING: Final = 2.0
_MOST_BYTES: Final = 65_536

_INSTEAD: Final = f"set {KEY_NAMES[0]} instead"
_NOT_INSTALLED: Final = "The keyring package is not installed beside runapi-mcp."
_INSTALL: Final = (
    'Install it, in a clone of runapi-mcp: uv tool install --force ".[keyring]", or '
    f'pip install ".[keyring]"; or {_INSTEAD}.'
)


def check_installed() -> None:
    """See that what asks a keyring is there, without importing it.

    Raises:
        KeyringFailed: It is not.
    """
    if find_spec("keyring") is None:
        raise KeyringFailed(_NOT_INSTALLED, advice=_INSTALL)


@dataclass(frozen=True)
class Entry:
    """What a keyring holds for one RunAPI.

    Attributes:
        key: The key; `None` if it holds none.
        backend: What the keyring calls itself.
        recommended: Whether it is a keyring of an operating system, as far as `keyring` knows.
    """

    key: SecretStr | None
    backend: str
    recommended: bool


class Keychain:
    """The keyring of this machine, seen from one RunAPI.

    Args:
        base_url: Where that RunAPI is.
        env: The environment to ask from: whose session, and which keyring if several are there.
        seconds: How long a question may take.
    """

    def __init__(self, base_url: str, env: Mapping[str, str], *, seconds: float = PERSON_SECONDS) -> None:
        url = urlsplit(base_url)
        self.account = f"{url.scheme}://{url.netloc}".lower()
        self._env = env
        self._seconds = seconds

    async def look(self) -> Entry:
        """Return what is there.

        Raises:
            KeyringFailed: The keyring cannot be asked, is locked, or did not answer in time.
        """
        return await self._ask("get")

    async def keep(self, key: SecretStr) -> Entry:
        """Keep a key, in place of one that is there; return what the keyring then gives back.

        Raises:
            KeyringFailed: It did not keep it.
        """
        entry = await self._ask("set", key=key.get_secret_value())
        if entry.key != key:
            raise KeyringFailed(
                f"{entry.backend} took the key and does not have it.", advice=f"So {_INSTEAD}."
            )
        return entry

    async def forget(self) -> Entry:
        """Take out what is there, and return what it was.

        Raises:
            KeyringFailed: It could not be taken out.
        """
        return await self._ask("forget")

    async def key(self) -> SecretStr:
        """Return the key that is there.

        Raises:
            KeyMissing: None is there, or none that can be used.
            KeyringFailed: The keyring cannot be asked, is locked, or did not answer in time.
        """
        entry = await self.look()
        if entry.key is None:
            raise KeyMissing(
                f"The keyring ({entry.backend}) holds no key for {self.account}.",
                advice=f"Run runapi-mcp key set on this machine, then try again; or {_INSTEAD}.",
            )
        if problem := key_problem("The keyring", entry.key.get_secret_value()):
            raise KeyMissing(problem, advice="Run runapi-mcp key set on this machine, then try again.")
        return entry.key

    async def _ask(self, do: Literal["get", "set", "forget"], **more: str) -> Entry:
        request = {"do": do, "service": SERVICE, "account": self.account, **more}
        answer = await _answer(request, self._env, self._seconds)
        if "failed" in answer:
            self._raise(answer)
        key = answer.get("key")
        backend = one_line(str(answer.get("backend", "")), 60)
        return Entry(
            SecretStr(key) if isinstance(key, str) else None, backend, bool(answer.get("recommended"))
        )

    def _raise(self, answer: Mapping[str, Any]) -> NoReturn:
        kind = one_line(str(answer.get("with", "")), 60)
        told = f" ({kind})" if kind else ""
        match answer["failed"]:
            case "not installed":
                raise KeyringFailed(_NOT_INSTALLED, advice=_INSTALL)
            case "none":
                raise KeyringFailed(
                    f"There is no keyring that can be used from here{told}.",
                    advice="On Linux it takes a session with GNOME Keyring, KWallet or another Secret "
                    f"Service; on a machine without one, {_INSTEAD}.",
                )
            case "locked":
                raise KeyringFailed(
                    "The keyring is locked, or did not let this program in.",
                    advice="Unlock it, or allow the access when it asks, then try again.",
                )
            case "slow":
                raise KeyringFailed(
                    f"The keyring did not answer within {self._seconds:g} s; it may wait to be unlocked.",
                    advice=f"Unlock it, then try again; or {_INSTEAD}.",
                )
            case _:
                raise KeyringFailed(
                    f"The keyring failed{told}.",
                    advice=f"runapi-mcp key where tries it again; or {_INSTEAD}.",
                )


async def _answer(request: Mapping[str, str], env: Mapping[str, str], seconds: float) -> dict[str, Any]:
    """Return the helper's answer, or `{"failed": "slow"}` when `seconds` are over and it has been ended."""
    said = bytearray()
    try:
        async with beside(_HELPER, with_session_bus(env)) as process:
            with anyio.move_on_after(seconds):
                await talk(process, request, said, _MOST_BYTES)
                # To kill a process that is just leaving is to wait for it twice, and asyncio then complains
                # on stderr of a child it does not know.
                with anyio.move_on_after(_LEAVING):
                    await process.wait()
                answer = json.loads(said)
                return answer if isinstance(answer, dict) else {"failed": "broken", "with": "no answer"}
        return {"failed": "slow"}
    except ValueError:
        return {"failed": "broken", "with": "no answer"}
    except (OSError, NotImplementedError) as error:
        return {"failed": "broken", "with": getattr(error, "strerror", None) or type(error).__name__}


def with_session_bus(env: Mapping[str, str], users: Path = _USERS) -> dict[str, str]:
    """Return the environment with the way to the session's D-Bus, behind which Linux has its keyrings.

    Hosts that hand on few variables leave it out; systemd has the socket at one place for every user, and
    other D-Bus libraries than the one `keyring` uses look there by themselves.
    """
    # secretstorage, by which keyring asks, knows the variable alone (mitya57/secretstorage#22).
    if sys.platform == "linux" and "DBUS_SESSION_BUS_ADDRESS" not in env:
        bus = users / str(os.getuid()) / "bus"
        if bus.is_socket():
            return {**env, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus}"}
    return dict(env)


def own_key(settings: Settings, env: Mapping[str, str], seconds: float = SERVER_SECONDS) -> "OwnKey | None":
    """Return what finds the key in the keyring, if it is to be found there; nothing is asked yet."""
    return OwnKey(Keychain(settings.base_url, env, seconds=seconds)) if settings.key_is_in_keyring else None


class Keeper(Protocol):
    """What has the key, such as a :class:`Keychain`."""

    async def key(self) -> SecretStr:
        """Return the key.

        Raises:
            KeyMissing: None is there, or it could not be had.
        """


class OwnKey:
    """The server's own key: read from the keyring when a call first needs it, and kept from then on.

    A failure is not kept: the next call asks again, so that nothing has to be restarted once the keyring
    is unlocked or the key is in it. Calls that wait at the same time share one question.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._lock = anyio.Lock()
        self._found: SecretStr | KeyMissing | None = None
        self._questions = 0

    async def find(self, seconds: float, say: Say) -> SecretStr:
        """Return the key, and say that it takes a while if it does.

        Raises:
            KeyMissing: There is none.
            KeyringFailed: It was not found within `seconds`.
        """
        answer: SecretStr | KeyMissing = KeyringFailed(
            "The keyring has not answered yet; it may be asking to be unlocked.",
            advice="Unlock it, then call again.",
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_tell, say)
            with anyio.move_on_after(max(seconds, _LEAST)):
                answer = await self._ask()
            tasks.cancel_scope.cancel()
        if isinstance(answer, KeyMissing):
            # Anew: several calls may have been told the same.
            raise type(answer)(answer.what, advice=answer.advice)
        return answer

    async def _ask(self) -> SecretStr | KeyMissing:
        before = self._questions
        async with self._lock:
            if self._found is None or (isinstance(self._found, KeyMissing) and self._questions == before):
                try:
                    self._found = await self._keeper.key()
                    logs.hide(self._found.get_secret_value())
                except KeyMissing as missing:
                    self._found = missing
                self._questions += 1
            return self._found


async def _tell(say: Say) -> None:
    await anyio.sleep(_PROMPT)
    while True:
        await say("waiting for the keyring, which may be asking to be unlocked")
        await anyio.sleep(HEARTBEAT)


_BROKEN_PIPES: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError)


@asynccontextmanager
async def beside(script: Path, env: Mapping[str, str] | None = None) -> AsyncIterator[Process]:
    """Run a script with this Python for as long as the block lasts; nothing of it is left afterwards.

    Raises:
        OSError, NotImplementedError: No process can be started; the latter where an event loop knows none.
    """
    process = await anyio.open_process(
        [sys.executable, "-P", str(script)],
        env=env,
        stderr=subprocess.DEVNULL,
        # Windows opens a console for a program whose parent, a host without a window, has none.
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
            await process.wait()
            await process.aclose()


async def talk(process: Process, request: Mapping[str, object], written: bytearray, most: int) -> None:
    """Ask, and take down what it answers, until it has said all or more than `most` bytes.

    Its stdin stays open, because such a process leaves when that is closed.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(*_BROKEN_PIPES):
        await process.stdin.send(json.dumps(request).encode() + b"\n")
        async for piece in process.stdout:
            written += piece
            if len(written) > most:
                return
