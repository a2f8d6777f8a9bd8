"""Run a script as Windows would, as far as that can be played here: ``as_on_windows.py SCRIPT``.

Once all is imported, this package takes the platform for Windows: no poll, no alarm, an event loop that
receives no signals, and a Win32 table of standard handles, which is told what becomes of them.
"""

import asyncio
import ctypes
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import NoReturn
from unittest.mock import Mock

import runapi_mcp.transports.stdio.serve  # noqa: F401  # with what it imports, which asks for the platform


def refuse(*_: object) -> NoReturn:
    raise NotImplementedError


def main(script: str) -> None:
    runtime = ModuleType("msvcrt")
    setattr(runtime, "get_osfhandle", lambda fd: 1000 + fd)  # noqa: B010  # nor that
    sys.modules["msvcrt"] = runtime
    kernel = SimpleNamespace(SetStdHandle=Mock())
    setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel))  # noqa: B010  # nor is it there
    setattr(asyncio.SelectorEventLoop, "add_signal_handler", refuse)  # noqa: B010  # for mypy it has no such type
    sys.platform = "win32"
    sys.argv = [script]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")
    told = [(call.args[0], call.args[1].value) for call in kernel.SetStdHandle.call_args_list]
    assert told == [(-10, 1000), (-11, 1001)], told


if __name__ == "__main__":
    main(sys.argv[1])
