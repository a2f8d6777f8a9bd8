"""The RunAPI key in the operating system's keyring, for those who ask for it.

    Keychain ── asking ── helper (a process) ── keyring ── Secret Service, Keychain, Credential Locker

What is kept belongs to one RunAPI: the entry is named by the origin of the base URL, so a key is never
sent to another one. Nothing here is imported or asked before somebody wants the key, and no question
takes longer than a bounded time, whatever the keyring waits for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, Literal, NoReturn
from urllib.parse import urlsplit

import anyio
from pydantic import SecretStr

from runapi_mcp import logs
from runapi_mcp.errors import KeyMissing, KeyringFailed, one_line
from runapi_mcp.keychain.asking import asked
from runapi_mcp.settings import KEY_NAMES, key_problem

__all__ = ["SERVER_SECONDS", "Entry", "Keychain", "OwnKey", "check_installed"]

SERVICE: Final = "runapi-mcp"
SERVER_SECONDS: Final = 20.0
"""How long a call waits for the keyring; a person may have to unlock it, and hosts give up after 60 s."""
PERSON_SECONDS: Final = 120.0
"""The same for a command that a person has just typed."""

_INSTEAD: Final = f"set {KEY_NAMES[0]} instead"
_NOT_INSTALLED: Final = "The keyring package is not installed beside runapi-mcp."
_INSTALL: Final = (
    f'Install it: uv tool install "runapi-mcp[keyring]", or pip install "runapi-mcp[keyring]"; or {_INSTEAD}.'
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
        answer = await asked(request, self._env, self._seconds)
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


class OwnKey:
    """The server's own key: read from the keyring when a call first needs it, and kept from then on.

    A failure is not kept: the next call asks again, so that nothing has to be restarted once the keyring
    is unlocked or the key is in it. Calls that wait at the same time share one question.
    """

    def __init__(self, keychain: Keychain) -> None:
        self._keychain = keychain
        self._lock = anyio.Lock()
        self._found: SecretStr | KeyMissing | None = None
        self._questions = 0

    async def __call__(self) -> SecretStr | KeyMissing:
        """Return the key, or why there is none."""
        before = self._questions
        async with self._lock:
            if self._found is None or (isinstance(self._found, KeyMissing) and self._questions == before):
                self._found = await self._look()
                self._questions += 1
            return self._found

    async def _look(self) -> SecretStr | KeyMissing:
        try:
            key = await self._keychain.key()
        except KeyMissing as missing:
            return missing
        logs.hide(key.get_secret_value())
        return key
