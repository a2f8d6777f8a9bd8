"""The process that speaks to the operating system's keyring: one request on stdin, one answer on stdout.

It is a process of its own because a keyring may ask a person something and wait for as long as that takes,
inside code that no time-out reaches, and because what reads a keyring is strangers' code. It is started by
path and with ``-P``: modules are looked for neither in the folder that a host happens to work in nor in this
one. Standard library and ``keyring`` only; keys come and go through the pipes, never through arguments.
"""

import json
import os
import sys
import threading
from types import TracebackType
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]
"""What JSON holds."""

# keyring installs without any backend that works, and then answers by one that fails (jaraco/keyring#258).
_NO_KEYRING = ("keyring.backends.fail", "keyring.backends.null")
"""Backends that stand for there being none."""


def answer(request: Message) -> Message:
    """Return what the keyring says: the key that is, or was, there; or how it failed, and what with.

    Args:
        request: `do` is get, set or forget; `service` and `account` name the entry; `key` is what to set.
    """
    try:
        import keyring
        from keyring.errors import KeyringError, KeyringLocked, NoKeyringError
    except ImportError:
        return {"failed": "not installed"}
    try:
        backend = keyring.get_keyring()
    except (RuntimeError, ImportError, AttributeError) as error:  # the one that is configured cannot be used
        return {"failed": "none", "with": type(error).__name__}
    if type(backend).__module__ in _NO_KEYRING:
        return {"failed": "none"}
    try:
        key = _do(backend, request)
    except NoKeyringError:
        return {"failed": "none"}
    except KeyringLocked:
        return {"failed": "locked"}
    except KeyringError as error:
        return {"failed": "broken", "with": type(error).__name__}
    # keyring itself recommends no backend below 1; such as keep keys in plain files are there.
    return {"key": key, "backend": str(backend.name), "recommended": backend.priority >= 1}


def _do(backend: Any, request: Message) -> str | None:  # noqa: ANN401  # strangers' classes, in part untyped
    entry = (request["service"], request["account"])
    match request["do"]:
        case "set":
            backend.set_password(*entry, request["key"])
            return _text(backend.get_password(*entry))
        case "forget":
            before = _text(backend.get_password(*entry))
            if before is not None:
                backend.delete_password(*entry)
            return before
        case _:
            return _text(backend.get_password(*entry))


def _text(found: object) -> str | None:
    return found if isinstance(found, str) else None


def _leave_with_parent() -> None:
    """End when the other end of stdin is closed: nobody waits for the answer, or for the person, any more."""
    os.read(0, 1)
    os._exit(1)


def main() -> None:
    """Answer one request."""
    wire, sys.stdout = sys.stdout, sys.stderr  # whatever a backend prints is no answer

    def say(answer: Message) -> None:
        wire.write(json.dumps(answer))
        wire.flush()

    def tell(kind: type[BaseException], _error: BaseException, _trace: TracebackType | None) -> None:
        # By name alone: the message of a stranger's exception may hold anything.
        say({"failed": "broken", "with": kind.__name__})

    sys.excepthook = tell
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    say(answer(request))


if __name__ == "__main__":
    main()
