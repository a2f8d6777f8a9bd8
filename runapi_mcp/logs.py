"""Logs: JSON lines on stderr, off by default, never a key, never content unless asked for.

At ``info`` there is one line for each call and one for each generation; at ``debug`` the phases in
between, too. Each line of a call says whose it is and of which tool, wherever it is logged. httpx logs
URLs, and the SDK logs requests it could not handle; both are silenced below warnings.
"""

import json
import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TextIO

from runapi_mcp.printable import one_line
from runapi_mcp.settings import Settings

_OURS: Final = "runapi_mcp"
_CONTENT: Final = "runapi_mcp.content"
_LEVELS: Final = {"off": logging.CRITICAL + 10, "info": logging.INFO, "debug": logging.DEBUG}
_VALUE_CHARS: Final = 500
_CONTENT_CHARS: Final = 4_000
_MOST_FACTS: Final = 32
_SHORTEST_KEY: Final = 8
# The SDK logs ids of sessions, and who has a whole one can speak in that session.
_SESSION_ID: Final = re.compile(r"(?<![\w-])([0-9a-f]{8})(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}\b", re.IGNORECASE)

_logger = logging.getLogger(_OURS)
_content = logging.getLogger(_CONTENT)
_about: ContextVar[dict[str, object]] = ContextVar("about", default={})  # noqa: B039  # never changed in place
_PRINCIPAL_CHARS: Final = 128
_DIGEST_CHARS: Final = 8


@contextmanager
def about(**facts: object) -> Iterator[None]:
    """Have every line say these facts that is logged in the block, or in a task that is begun in it."""
    token = _about.set(_about.get() | facts)
    try:
        yield
    finally:
        _about.reset(token)


def principal(owner: str) -> str:
    """Return who a principal is to people: a token's name, a JWT's subject, the start of a key's digest."""
    kind, _, rest = owner.partition(":")
    match kind:
        case "token":
            shown = rest
        case "jwt":
            shown = rest.partition("#")[2] or rest  # an issuer has no fragment, a subject may have
        case "key":
            shown = f"key:{rest[:_DIGEST_CHARS]}"
        case _:
            shown = owner
    return one_line(shown, _PRINCIPAL_CHARS)


def info(event: str, **facts: object) -> None:
    """Log what happened, with its facts; a fact that is `None` is left out."""
    _logger.info(event, extra={"facts": facts})


def warning(event: str, **facts: object) -> None:
    """Log what whoever runs the server should look at."""
    _logger.warning(event, extra={"facts": facts})


def debug(event: str, **facts: object) -> None:
    """Log a step on the way to what happens."""
    _logger.debug(event, extra={"facts": facts})


def content(event: str, **facts: object) -> None:
    """Log prompts and answers, which only happens where the settings ask for it."""
    _content.debug(event, extra={"facts": facts})


def tokens(counts: Mapping[str, int | None]) -> dict[str, int | None]:
    """Return token counts as facts of a line."""
    return {f"tokens_{name}": count for name, count in counts.items()}


def shorten(handle: str) -> str:
    """Return enough of a handle to tell two apart; who has all of it can read the answer."""
    return handle[:8]


class JsonLines(logging.Formatter):
    """One record, one line of JSON: time, level, where, what, and the facts given with it.

    Every value is cut to a bound, so a line is whole JSON however much it was given.
    """

    def __init__(self, *, secret: str | None) -> None:
        super().__init__()
        self._secret: str | None = None
        self.hide(secret)

    def hide(self, secret: str | None) -> None:
        """Take `secret` out of every line from now on, in place of the one before it."""
        # What is shorter than any key is left alone: taking it out would only spoil the line.
        self._secret = secret if secret and len(secret) >= _SHORTEST_KEY else None

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; an exception is told by type and place, without its message."""
        bound = _CONTENT_CHARS if record.name == _CONTENT else _VALUE_CHARS
        facts: dict[str, Any] = getattr(record, "facts", {})
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{second}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": self._plain(record.getMessage(), _VALUE_CHARS),
        }
        for name, value in list({**_about.get(), **facts}.items())[:_MOST_FACTS]:
            if value is not None:
                line.setdefault(name, self._plain(value, bound))
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["at"] = _place(record.exc_info[2])
        return json.dumps(line, ensure_ascii=True)

    def _plain(self, value: object, bound: int) -> object:
        if isinstance(value, bool | int | float):
            return value
        text = one_line(str(value).replace(self._secret, "[key]") if self._secret else str(value), bound)
        return _SESSION_ID.sub(r"\1…", text)


def configure(settings: Settings, stream: TextIO) -> None:
    """Send our records to `stream` at the level that is set, and other packages' warnings with them."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(secret=settings.key.get_secret_value() if settings.key else None))
    level = _LEVELS[settings.log]
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
    _logger.setLevel(level)
    _content.setLevel(level if settings.log_content else _LEVELS["off"])


def hide(secret: str) -> None:
    """Take a key that became known after :func:`configure` out of every line from now on."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, JsonLines):
            handler.formatter.hide(secret)


def _place(traceback: object) -> str:
    frame = traceback
    while getattr(frame, "tb_next", None) is not None:
        frame = frame.tb_next  # type: ignore[attr-defined]  # a traceback, by the loop's own test
    code = getattr(getattr(frame, "tb_frame", None), "f_code", None)
    name = getattr(code, "co_qualname", "?")
    return f"{name}:{getattr(frame, 'tb_lineno', '?')}"
