"""data: URLs as browsers, mail programs and models write them (RFC 2397)."""

import base64
import binascii
import re
from typing import Final
from urllib.parse import unquote_to_bytes

from runapi_mcp.errors import InputError

_HEAD: Final = re.compile(r"\s*data:([^,]{0,500}),", re.IGNORECASE)
_SHAPE: Final = "Write data:TYPE;base64,DATA, or data:text/plain,TEXT."
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_IGNORED: Final = b" \t\r\n\f\v"


def read_data_url(url: str, limit: int) -> bytes | None:
    """Return the bytes that a data: URL holds; `None` if they are more than `limit`.

    Base64 may be broken into lines, in the URL-safe alphabet, without its padding, and percent-encoded;
    data without base64 is percent-encoded text in the character set that it names.

    Raises:
        InputError: It is no data: URL, or its base64 is broken.
    """
    found = _HEAD.match(url)
    if not found:
        raise InputError("this data: URL has no comma after its type.", advice=_SHAPE)
    # A byte takes three characters at most, where it is escaped.
    if len(url) - found.end() > 4 * limit + 1024:
        return None
    parameters = [part.strip() for part in found[1].split(";")[1:]]
    content = unquote_to_bytes(url[found.end() :])
    if any(parameter.lower() == "base64" for parameter in parameters):
        content = _from_base64(content)
    else:
        content = _in_utf8(content, parameters)
    return content if len(content) <= limit else None


def _from_base64(text: bytes) -> bytes:
    plain = text.translate(_STANDARD, delete=_IGNORED).rstrip(b"=")
    try:
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InputError("the data: URL's base64 is broken.", advice="Encode the file anew.") from None


def _in_utf8(text: bytes, parameters: list[str]) -> bytes:
    named = next((p.partition("=")[2] for p in parameters if p.lower().startswith("charset=")), "utf-8")
    try:
        return text.decode(named.strip("\"'") or "utf-8").encode()
    except (LookupError, UnicodeError, ValueError):
        return text  # told as what it is: not UTF-8
