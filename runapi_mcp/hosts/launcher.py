"""What a host is told to start: an absolute path, because a host started from a menu has a bare PATH."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FLEETING: Final = re.compile(r"[/\\]uv[/\\](cache[/\\])?(archive|environments|builds)-v\d+[/\\]")
"""Where uvx keeps the environments that it makes for one run; `uv cache clean` empties it."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A command and its arguments."""

    command: str
    args: tuple[str, ...] = ()


def launcher(python: str, *, exists: Callable[[str], bool], which: Callable[[str], str | None]) -> Launch:
    """Return how to start this server, from the interpreter that runs now.

    The `runapi-mcp` beside that interpreter; `uvx runapi-mcp` where the interpreter is one of uvx's
    fleeting ones; else the interpreter with `-m`.

    Args:
        python: `sys.executable`.
        exists: Whether a file is there.
        which: Finds a program on PATH.
    """
    if _FLEETING.search(python) and (uvx := which("uvx")):
        return Launch(str(Path(uvx).absolute()), ("runapi-mcp",))
    for name in ("runapi-mcp", "runapi-mcp.exe"):
        # Not resolved: a venv's python is a link out of the venv.
        script = str(Path(python).with_name(name))
        if exists(script):
            return Launch(script)
    return Launch(python, ("-m", "runapi_mcp"))
