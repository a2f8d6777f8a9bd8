"""What a host is told to start: an absolute path, because a host started from a menu has a bare PATH."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FLEETING: Final = re.compile(r"[/\\]uv[/\\](cache[/\\])?(archive|environments|builds)-v\d+[/\\]")
"""Where uvx keeps the environments that it makes for one run; `uv cache clean` empties it."""
_AS_MODULE: Final = ("-m", "runapi_mcp")


@dataclass(frozen=True, slots=True)
class Launch:
    """A command and its arguments."""

    command: str
    args: tuple[str, ...] = ()

    def by_name(self) -> "Launch":
        """Return the same by a name that PATH finds, for a config that goes to other machines."""
        name = re.split(r"[/\\]", self.command)[-1].removesuffix(".exe")
        if name == "uvx":
            return Launch(name, self.args)
        return Launch("runapi-mcp", self.args[2:] if self.args[:2] == _AS_MODULE else self.args)


def launcher(
    python: str, *, exists: Callable[[str], bool], which: Callable[[str], str | None], extra: str = ""
) -> Launch:
    """Return how to start this server, from the interpreter that runs now.

    The `runapi-mcp` beside that interpreter; `uvx runapi-mcp` where the interpreter is one of uvx's
    fleeting ones; else the interpreter with `-m`.

    Args:
        python: `sys.executable`.
        exists: Whether a file is there.
        which: Finds a program on PATH.
        extra: What the server is to have besides; only uvx, which makes environments of its own, is told.
    """
    if _FLEETING.search(python) and (uvx := which("uvx")):
        from_extra = ("--from", f"runapi-mcp[{extra}]") if extra else ()
        return Launch(str(Path(uvx).absolute()), (*from_extra, "runapi-mcp"))
    for name in ("runapi-mcp", "runapi-mcp.exe"):
        # Not resolved: a venv's python is a link out of the venv.
        script = str(Path(python).with_name(name))
        if exists(script):
            return Launch(script)
    return Launch(python, _AS_MODULE)
