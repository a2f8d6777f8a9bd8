"""What is logged, where a test sets logging up as the command line does; afterwards all is as it was."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from runapi_mcp import logs
from runapi_mcp.settings import Settings

CONFIGURED = (None, "runapi_mcp", "runapi_mcp.content")
"""The loggers that :func:`logs.configure` sets."""


@contextmanager
def logging_put_back() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in CONFIGURED]
    handlers, levels = loggers[0].handlers[:], [logger.level for logger in loggers]
    try:
        yield
    finally:
        loggers[0].handlers[:] = handlers
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def logged(settings: Settings) -> Iterator[io.StringIO]:
    """What is logged with these settings, as text."""
    stream = io.StringIO()
    with logging_put_back():
        logs.configure(settings, stream)
        yield stream
