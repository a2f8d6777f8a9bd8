"""``python -m runapi_mcp``, and the command ``runapi-mcp``."""

import os
import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command line; Ctrl-C leaves no traceback while that is imported, nor where it has ended."""
    sys.excepthook = _end_by
    from runapi_mcp.cli.main import main as command_line

    command_line()


def _end_by(kind: type[BaseException], error: BaseException, _trace: object) -> None:
    if issubclass(kind, KeyboardInterrupt):
        os._exit(_INTERRUPTED)
    sys.__excepthook__(kind, error, error.__traceback__)


if __name__ == "__main__":
    main()
