"""Where everything that is printed goes out, and an error in the words of a person at a terminal."""

import errno
import io
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, TextIO

from runapi_mcp.errors import InputError, NotFound, RunapiError, UpstreamError
from runapi_mcp.printable import remove_unseen

_CLOSED: Final = OSError(errno.EBADF, "it is closed")
_SPELLED: Final = {
    **dict.fromkeys("‘’‚′", "'"),
    **dict.fromkeys("“”„″", '"'),
    **dict.fromkeys("·–—−‑─━", "-"),
    **dict.fromkeys("│┃▌", "|"),
    **dict.fromkeys("├└┌┐┘┤┬┴┼", "+"),
    **dict.fromkeys("\u00a0\u2009\u202f", " "),
    **dict.fromkeys("×✗", "x"),
    "ø": "o",
    "Ø": "O",
    "ß": "ss",
    "æ": "ae",
    "œ": "oe",
    "ł": "l",
    "Ł": "L",
    "…": "...",
    "•": "*",
    "▸": ">",
    "→": "->",
    "✓": "+",
}
"""How characters are written where only ASCII is."""


def widen(stream: TextIO | None, env: Mapping[str, str], platform: str = os.name) -> None:
    """Have a file that Windows' stdout goes to take every character, unless its encoding was chosen.

    What its code page lacks would be lost. A terminal takes all, and in a pipe the code page is what
    the next program expects.
    """
    if platform != "nt" or not isinstance(stream, io.TextIOWrapper) or env.get("PYTHONIOENCODING"):
        return
    with suppress(OSError):
        if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            stream.reconfigure(encoding="utf-8")


class Outlet:
    """A stream that commands write text to, whatever becomes of it; each write is flushed.

    Args:
        stream: The stream; `None` where the process was started with it closed.
        instead: Takes what the stream cannot, after a line that says so. Without it that is lost in
            silence: there is nowhere left to say it.
    """

    def __init__(self, stream: TextIO | None, instead: "Outlet | None" = None) -> None:
        self._stream = stream
        self._instead = instead
        self.failed = False

    @property
    def encoding(self) -> str:
        """The stream's encoding."""
        return (self._stream and self._stream.encoding) or "utf-8"

    def write(self, text: str) -> int:
        """Write a text; characters that the encoding lacks are written plainly.

        Raises:
            BrokenPipeError: Whoever read the stream has seen enough.
        """
        if not self.failed:
            try:
                self._write(plain(text, self.encoding))
            except OSError as error:
                if self._instead is not None and has_reader_left(error):
                    raise BrokenPipeError(*error.args) from None
                self._fail(error)
        if self.failed and self._instead is not None:
            self._instead.write(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: what was written has been flushed."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Return the stream's descriptor.

        Raises:
            OSError: It was closed.
        """
        if self._stream is None:
            raise _CLOSED
        return self._stream.fileno()

    def _write(self, text: str) -> None:
        if self._stream is None:
            raise _CLOSED
        self._stream.write(text)
        self._stream.flush()

    def _fail(self, error: OSError) -> None:
        self.failed = True
        if self._stream is not None:
            # What is left in its buffer must not fail again at the exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        if self._instead is not None:
            why = error.strerror or type(error).__name__
            self._instead.write(f"runapi-mcp: stdout could not be written ({why}); this was meant for it:\n")


def has_reader_left(error: OSError, platform: str = os.name) -> bool:
    """Whether a write failed since nobody reads any more; Windows calls that an invalid argument."""
    # See python/cpython#79935: the write fails with EINVAL, or with EPIPE, by chance.
    return isinstance(error, BrokenPipeError) or (platform == "nt" and error.errno == errno.EINVAL)


def printable(text: str) -> str:
    """Return a text as a terminal may be given it: what acts unseen is taken out, and a line end ends a line.

    A carriage return alone would have the rest of the line written over what stands there.
    """
    return remove_unseen(text).replace("\r\n", "\n").replace("\r", "\n")


def plain(text: str, encoding: str) -> str:
    """Return a text in an encoding's characters; others are spelled, lose their accents, or become `?`."""
    if _has(encoding, text):
        return text
    return "".join(char if _has(encoding, char) else _spell(char, encoding) for char in text)


def _spell(char: str, encoding: str) -> str:
    import unicodedata

    if char in _SPELLED:
        return _SPELLED[char]
    # Letters alone: without what makes them a power or a fraction, digits would be other numbers.
    parts = unicodedata.normalize("NFKD", char) if char.isalpha() else ""
    return "".join(part for part in parts if _has(encoding, part)) or "?"


def _has(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


_ADVICE: Final[Mapping[str, str]] = {
    "key_missing": "Get one at https://runapi.ai, then: export RUNAPI_TOKEN=… "
    "(or keep it in this machine's keyring: runapi-mcp key set).",
    "keyring_failed": "Set RUNAPI_TOKEN instead.",
    "key_refused": "Set RUNAPI_TOKEN to a valid RunAPI key (https://runapi.ai).",
    "not_allowed": "Use a model this key may call (runapi-mcp models shows them), or a key that may call it.",
    "not_found": "runapi-mcp models shows the models that exist. If every model fails, RunAPI may serve "
    "them elsewhere: try --chat-path /v1.",
    "model_retired": "Name another with --model; runapi-mcp models shows those that exist.",
    "unreachable": "Check the network, the proxy settings and --base-url; nothing was sent.",
    "cut": "Ask again.",
    "failed_midway": "It is RunAPI's side; ask again.",
    "stalled": "Ask again, or raise --idle-timeout if long silences are normal for this model and effort.",
    "deadline": "Ask for less at once, or raise --deadline.",
    "memory_full": "Send less at once, or raise --memory-bytes.",
    "answer_too_long": "Ask for less at once, or raise --max-answer-bytes.",
    "budget_spent": "They count anew at 00:00 UTC; --max-tokens-per-day allows more.",
}
"""By the error's code, in place of what is said to models and to whoever set a host up."""


_COMMANDS: Final = {
    "ask_gemini": "runapi-mcp ask",
    "search_web": "runapi-mcp search",
    "extract_json": "runapi-mcp extract",
    "list_models": "runapi-mcp models",
    "get_result": "runapi-mcp resume",
    "continue_from": "--from",
}
"""What a person types, by what a model calls."""
_NAMES: Final = re.compile(rf"\b(?:{'|'.join(_COMMANDS)})\b")


def explain(error: RunapiError) -> str:
    """Return an error as a person is told of it."""
    usual = error.advice == error.default_advice
    what, advice = error.what, _ADVICE.get(error.code, error.advice) if usual else error.advice
    if isinstance(error, NotFound | InputError):
        # Nothing but words of ours says what to do.
        advice = _NAMES.sub(lambda name: _COMMANDS[name[0]], advice)
        what = what.replace("continue_from", "--from")
    request_id = error.request_id if isinstance(error, UpstreamError) else None
    parts = [what, advice, f"(request id {request_id})" if request_id else ""]
    return " ".join(part for part in parts if part)
