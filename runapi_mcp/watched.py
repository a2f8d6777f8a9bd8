"""Files that are read again when they change, for as long as the process lives.

A file may be replaced under its name, as editors and Kubernetes do (there the name is a link whose target
changes), or written in place; its time need not move. So what is compared is all that tells two states of
a file apart, and a change is taken once it has stood still: half a file is nobody's wish.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Generic, TypeAlias, TypeVar

import anyio
from anyio import to_thread

from runapi_mcp import logs
from runapi_mcp.errors import SettingsError
from runapi_mcp.signalling import Signal

LOOK_SECONDS: Final = 1.0
"""Seconds between two looks at a file."""
_MOST_BYTES: Final = 4 * 1024 * 1024

T = TypeVar("T")
_State: TypeAlias = tuple[int, int, int, int] | None


class Watched(Generic[T]):
    """A file, and what was last read of it.

    Args:
        path: Where it is.
        read: Makes a value of its text; raises :class:`SettingsError` for what is none.
        what: What it is to people, such as "the tokens".

    Attributes:
        value: What the file said last; the last good one while it says what cannot be used.

    Raises:
        SettingsError: It cannot be read, or says what cannot be used.
    """

    def __init__(self, path: str, read: Callable[[str], T], what: str) -> None:
        self.path = path
        self._read = read
        self._what = what
        self._state = self._look()
        self.value = read(self._text())
        self._asked = False
        self._now = Signal()

    def read_now(self) -> None:
        """Have it read again at once, whether it seems to have changed or not."""
        self._asked = True
        self._now.send()

    async def watch(self, tell: Callable[[T, T], Awaitable[None]]) -> None:
        """Read it whenever it changes, and tell the value before and the new one; for ever."""
        seen = self._state
        while True:
            with anyio.move_on_after(LOOK_SECONDS):
                await self._now.until(lambda: self._asked)
            asked, self._asked = self._asked, False
            found = await to_thread.run_sync(self._look, abandon_on_cancel=True)
            settled, seen = found == seen, found
            if asked or (settled and found != self._state):
                self._state = found
                await self._again(tell)

    async def _again(self, tell: Callable[[T, T], Awaitable[None]]) -> None:
        before = self.value
        try:
            self.value = self._read(await to_thread.run_sync(self._text, abandon_on_cancel=True))
        except SettingsError as error:
            logs.warning(f"{self._what} stay as they were", file=self.path, why=error.what)
            return
        logs.info(f"{self._what} were read again", file=self.path, changed=self.value != before)
        await tell(before, self.value)

    def _look(self) -> _State:
        try:
            found = Path(self.path).stat()
        except OSError:
            return None
        return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def _text(self) -> str:
        try:
            with Path(self.path).open(encoding="utf-8") as file:
                text = file.read(_MOST_BYTES + 1)
        except (OSError, UnicodeDecodeError):
            raise SettingsError(f"The file {self.path} cannot be read.", advice="Check its name.") from None
        if len(text) > _MOST_BYTES:
            raise SettingsError(f"The file {self.path} is too large.", advice="Check its name.")
        return text
