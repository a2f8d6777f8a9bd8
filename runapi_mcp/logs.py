"""Logs: JSON lines on stderr, off by default, never a key, never content unless asked for.

httpx logs URLs, and the SDK logs requests it could not handle; both are silenced below warnings.
"""

import json
import logging
import time
from typing import Final, TextIO

from runapi_mcp.errors import one_line
from runapi_mcp.settings import Settings

_OURS: Final = "runapi_mcp"
_LINE_CHARS: Final = 4_000
_LEVELS: Final = {"off": logging.CRITICAL + 10, "info": logging.INFO, "debug": logging.DEBUG}


class JsonLines(logging.Formatter):
    """One record, one line of JSON: time, level, where, what, and the fields given as ``extra``."""

    def __init__(self, *, secret: str | None) -> None:
        super().__init__()
        self._secret = secret

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; an exception is told by type and place, without its message."""
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + "Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": one_line(record.getMessage(), _LINE_CHARS),
            **getattr(record, "facts", {}),
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["at"] = _place(record.exc_info[2])
        text = json.dumps(line, ensure_ascii=True, default=str)[:_LINE_CHARS]
        return text.replace(self._secret, "[key]") if self._secret else text


def configure(settings: Settings, stream: TextIO) -> None:
    """Send our records to `stream` at the level that is set, and other packages' warnings with them."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(secret=settings.key.get_secret_value() if settings.key else None))
    level = _LEVELS[settings.log]
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger(_OURS).setLevel(level)


def _place(traceback: object) -> str:
    frame = traceback
    while getattr(frame, "tb_next", None) is not None:
        frame = frame.tb_next  # type: ignore[attr-defined]  # a traceback, by the loop's own test
    code = getattr(getattr(frame, "tb_frame", None), "f_code", None)
    name = getattr(code, "co_qualname", "?")
    return f"{name}:{getattr(frame, 'tb_lineno', '?')}"
