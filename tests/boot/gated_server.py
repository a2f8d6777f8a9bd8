"""The real server, whose import of the SDK waits: ``python gated_server.py GATE REACHED [argument…]``.

It says on the descriptor REACHED that it has come to the import, and goes on when the other end of
GATE is closed, so that a test decides what happens before, during and after it.
"""

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class Gate(MetaPathFinder):
    def __init__(self, gate: int, reached: int) -> None:
        self._gate = gate
        self._reached = reached

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> None:
        if name == "anyio":
            os.write(self._reached, b"x")
            os.read(self._gate, 1)


if __name__ == "__main__":
    gate, reached, *arguments = sys.argv[1:]
    sys.meta_path.insert(0, Gate(int(gate), int(reached)))
    from runapi_mcp.cli.main import main

    main(arguments)
