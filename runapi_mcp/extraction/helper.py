"""The process that makes one check: a request on stdin, answers on stdout, a line of JSON each.

It is started by path and with ``-P``, and is told where to look for modules: as whoever asks does. It
ends by itself when its time is over, even in the middle of a regular expression, and when whoever asked is
gone. It ends with 0 when it is through, by SIGALRM (on Windows with 1) when its time was over, with 3 when
its memory was.
"""

import faulthandler
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

Message: TypeAlias = dict[str, Any]
"""What JSON holds."""

_OUT_OF_MEMORY: Final = 3
_BROKEN: Final = 4


def answers(request: Message) -> Iterator[Message]:
    """Yield what is asked for, the last the whole answer.

    Args:
        request: `schema` is the caller's, as JSON text. With `dialect`, it is checked and rewritten for
            the wire: `schema` and `checked_here`. Else `texts` are judged by it, with `begin` and
            `many`: first what they are as JSON, then the verdict on them. What is wrong with the
            schema is `refused`, with `advice`.
    """
    from runapi_mcp.errors import InputError

    try:
        yield from _rewritten(request) if "dialect" in request else _judged(request)
    except InputError as error:
        yield {"refused": error.what, "advice": error.advice}


def _judged(request: Message) -> Iterator[Message]:
    from runapi_mcp.extraction.judge import Judge, schema_of
    from runapi_mcp.extraction.verdict import judged, read

    texts, many = request["texts"], request["many"]
    yield read(texts, many=many).kept()
    yield judged(Judge(schema_of(request["schema"])), texts, request["begin"], many=many).kept()


def _rewritten(request: Message) -> Iterator[Message]:
    from runapi_mcp.extraction.judge import read_schema
    from runapi_mcp.wire.schema import rewritten

    made = rewritten(read_schema(request["schema"]), request["dialect"])
    yield {"schema": made.schema, "checked_here": list(made.checked_here)}


def _keep_within(seconds: float, memory: int) -> None:
    """End when the time is over, whatever holds Python up then; take no more than this memory."""
    if sys.platform == "win32":
        # Its thread needs no Python; elsewhere there is a way that looks at no frame of a running thread.
        faulthandler.dump_traceback_later(seconds, exit=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
        return
    import resource

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)

    _, most = resource.getrlimit(resource.RLIMIT_AS)
    allowed = memory if most == resource.RLIM_INFINITY else min(memory, most)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, most))


def _leave_with_parent() -> None:
    """End when the other end of stdin is closed: nobody waits for the answer any more."""
    os.read(0, 1)
    os._exit(1)


def main() -> None:
    """Answer one request."""
    wire, sys.stdout = sys.stdout, sys.stderr
    # It says only that it broke off, by its code.
    sys.excepthook = lambda *_: os._exit(_BROKEN)
    request = json.loads(sys.stdin.readline())
    sys.path[:] = request["path"]
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    import runapi_mcp.extraction.verdict
    import runapi_mcp.wire.schema  # noqa: F401  # what an import takes is not the check's

    _keep_within(request["seconds"], request["memory"])
    try:
        for answer in answers(request):
            wire.write(json.dumps(answer) + "\n")
            wire.flush()
    except MemoryError:
        os._exit(_OUT_OF_MEMORY)
    os._exit(0)


if __name__ == "__main__":
    main()
