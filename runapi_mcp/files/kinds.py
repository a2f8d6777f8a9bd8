"""What a file is: by its content, by its name only where the content is not here; and data: URLs."""

import base64
import binascii
import codecs
import mimetypes
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes

from runapi_mcp.errors import InputError
from runapi_mcp.wire.json_text import MAX_TEXT_CHARS

_SIGNATURES: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (8, b"WEBP", "image/webp"),
    (0, b"%PDF-", "application/pdf"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AIFF", "audio/aiff"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
)
_BRANDS: Final[dict[bytes, str]] = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx"), "image/heic"),
    **dict.fromkeys((b"mif1", b"msf1", b"heif"), "image/heif"),
    **dict.fromkeys((b"M4A ", b"M4B "), "audio/mp4"),
    b"qt  ": "video/quicktime",
    b"avif": "",
}
"""Major brands of the ISO container; any other is video."""
_FRAMES: Final[dict[bytes, str]] = {
    **dict.fromkeys((b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3"), "audio/mpeg"),
    **dict.fromkeys((b"\xff\xf1", b"\xff\xf9", b"\xff\xf0", b"\xff\xf8"), "audio/aac"),
}
"""How frames of audio begin that has no header of its own; b"\\xff\\xfe" is text's mark."""
KINDS: Final = (
    "images (PNG, JPEG, WebP, HEIC), PDF, audio (WAV, MP3, AAC, OGG, FLAC, AIFF, M4A), "
    "video (MP4, MOV, WebM), text and code"
)
_TAKEN: Final = ("image/", "audio/", "video/", "text/", "application/pdf", "application/json")
_NOT_TAKEN: Final = ("image/svg+xml", "image/gif", "image/tiff", "image/bmp", "image/avif")
_ALIASES: Final = {
    **dict.fromkeys(("image/jpg", "image/pjpeg"), "image/jpeg"),
    **dict.fromkeys(("audio/x-wav", "audio/wave", "audio/vnd.wave"), "audio/wav"),
    **dict.fromkeys(("audio/mp3", "audio/x-mp3"), "audio/mpeg"),
    **dict.fromkeys(("audio/x-m4a", "audio/m4a"), "audio/mp4"),
    "audio/x-flac": "audio/flac", "audio/x-aiff": "audio/aiff", "image/x-png": "image/png",
    "application/x-pdf": "application/pdf", "text/json": "application/json", "video/mov": "video/quicktime",
}  # fmt: skip
"""What programs write and Gemini does not take (CherryHQ/cherry-studio#3088), and what it takes."""
_SUFFIXES: Final = {
    "webp": "image/webp", "heic": "image/heic", "heif": "image/heif", "avif": "image/avif",
    "m4a": "audio/mp4", "aac": "audio/aac", "flac": "audio/flac", "ogg": "audio/ogg", "oga": "audio/ogg",
    "opus": "audio/ogg", "webm": "video/webm", "mov": "video/quicktime",
    **dict.fromkeys(("docx", "xlsx", "pptx", "odt", "ods", "odp", "epub"), "application/x-office"),
}  # fmt: skip
"""Suffixes that Python's own table lacks, or has in newer versions only."""
_TEXT_NAMES: Final = (
    "txt text log md markdown rst adoc tex bib yaml yml toml ini cfg conf properties env csv tsv jsonl "
    "ndjson json5 xml xsd rss diff patch srt vtt proto graphql sql sh bash zsh ps1 bat py pyi rb rs go java "
    "kt scala c h cc cpp hpp cs m swift js mjs cjs ts tsx jsx vue svelte php pl lua r jl ex exs erl hs clj "
    "dart tf gradle cmake dockerfile ipynb css scss"
)
_TEXT_SUFFIXES: Final = frozenset(_TEXT_NAMES.split())
_STANDARD: Final = mimetypes.MimeTypes()
"""Python's own table, without what a machine adds to it: a URL is of one kind everywhere."""
_TYPE_FIELDS: Final = frozenset({"response-content-type", "content-type", "mimetype", "mime"})
_SUFFIX_FIELDS: Final = frozenset({"format", "fm", "ext", "filename", "file"})
_MOST_FIELDS: Final = 50
_CONTROL: Final = frozenset(range(32)) - frozenset(b"\t\n\r\f\x1b")
_CONTROLS: Final = re.compile(f"[{re.escape(''.join(map(chr, sorted(_CONTROL))))}]")
_LOOKED_AT: Final = 65_536
_ENCODINGS: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def encode_base64(content: bytes) -> str:
    """Return a file's content in base64, made in pieces between which other threads run."""
    step = 3 * _PIECE
    return "".join(base64.b64encode(content[at : at + step]).decode() for at in range(0, len(content), step))


def binary_kind(content: bytes) -> str | None:
    """Return the media type that a file's first bytes show; `None` if they show none that is taken."""
    for at, mark, kind in _SIGNATURES:
        if content[at : at + len(mark)] == mark:
            return kind
    if content[4:8] == b"ftyp":
        return _BRANDS.get(content[8:12], "video/mp4") or None
    return _FRAMES.get(content[:2])


def as_text(content: bytes) -> str | None:
    """Return a file's content as text; `None` if it is none.

    UTF-8, or UTF-16 with its mark; control characters, NUL among them, are not text. It is not read to its
    end once it has more than `MAX_TEXT_CHARS`.
    """
    encoding = next((name for mark, name in _ENCODINGS if content.startswith(mark)), "utf-8")
    pieces, left = list[str](), MAX_TEXT_CHARS
    try:
        for piece in _decode(content, encoding):
            if _CONTROLS.search(piece):
                return None
            pieces.append(piece)
            left -= len(piece)
            if left < 0:
                break
    except UnicodeDecodeError:
        return None
    return "".join(pieces)


def _decode(content: bytes, encoding: str) -> Iterator[str]:
    """Yield a text in pieces between which other threads run: some encodings take a second for 20 MB."""
    decoder = codecs.getincrementaldecoder(encoding)()
    for at in range(0, len(content), _PIECE):
        yield decoder.decode(content[at : at + _PIECE])
    yield decoder.decode(b"", final=True)


def is_meant_as_text(content: bytes) -> bool:
    """Whether a file that is no text to :func:`as_text` seems to be one, in another encoding."""
    return not any(byte in _CONTROL for byte in content[:_LOOKED_AT])


def kind_of_url(host: str, path: str, query: str = "") -> str:
    """Return the media type of what a URL leads to, as far as its address says; empty if it does not.

    It may be one that is not taken. Nothing is guessed: a page that went out as a JPEG is refused by
    Gemini, or read as noise (langchain-ai/langchain-google#616, BerriAI/litellm#4441).
    """
    host = host.removeprefix("www.")
    # Gemini watches a video of YouTube by its address (ai.google.dev, video understanding).
    if host in ("youtube.com", "youtu.be", "m.youtube.com"):
        return "video/mp4"
    if kind := kind_of_name(path):
        return kind
    # arXiv's and OpenReview's papers end in a number, or in nothing.
    if host in ("arxiv.org", "export.arxiv.org", "openreview.net") and path.startswith("/pdf"):
        return "application/pdf"
    for key, value in parse_qsl(query)[:_MOST_FIELDS]:
        if key.lower() in _TYPE_FIELDS and "/" in value:
            return plain_kind(value)
        if key.lower() in _SUFFIX_FIELDS and (kind := kind_of_name(f"x.{value}")):
            return kind
    return ""


def kind_of_name(name: str) -> str:
    """Return the media type that a name's suffix says, taken or not; empty if it says none."""
    _, dot, suffix = name.rpartition("/")[2].rpartition(".")
    suffix = suffix.lower()
    if not dot or not suffix.isascii():
        return ""
    if suffix in _TEXT_SUFFIXES:
        return "text/plain"
    guessed, encoding = _STANDARD.guess_type(f"x.{suffix}")
    return _SUFFIXES.get(suffix) or ("application/gzip" if encoding else plain_kind(guessed or ""))


def plain_kind(kind: str) -> str:
    """Return a media type without parameters, under the name that Gemini takes it by."""
    bare = kind.partition(";")[0].strip().lower()
    return _ALIASES.get(bare, bare)


def is_taken(kind: str) -> bool:
    """Whether files of this media type can be passed on."""
    return kind.startswith(_TAKEN) and kind not in _NOT_TAKEN


_HEAD: Final = re.compile(r"\s*data:([^,]{0,500}),", re.IGNORECASE)
_SHAPE: Final = "Write data:TYPE;base64,DATA, or data:text/plain,TEXT."
_PIECE: Final = 65_536
_MOST_REST: Final = 8
"""Characters of base64 that wait for more; of whatever padding follows, a few stand for all."""
_CHARSET: Final = re.compile(
    "ascii|utf-(8|16|32).*|latin.*|iso(8859|2022).*|cp.*|koi8.*|gb.*|big5.*|euc_.*|shift_jis.*|mac.*|tis-620|johab|hz"
)
_BASE64_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
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
    pieces = _unescape(url, found.end())
    if any(parameter.lower() == "base64" for parameter in parameters):
        content = _from_base64(pieces)
    else:
        content = _in_utf8(b"".join(pieces), parameters)
    return content if len(content) <= limit else None


def find_base64(url: str, limit: int) -> tuple[str, str] | None:
    """Return the kind of file that a data: URL holds, and its base64, where that can be sent as it is.

    That spares the copies of :func:`read_data_url`, each as large as the file.
    """
    found = _HEAD.match(url)
    if not found or not found[1].lower().endswith(";base64"):
        return None
    start, end = found.end(), len(url)
    if (end - start) % 4 or (end - start) // 4 * 3 - url.count("=", end - 2) > limit:
        return None
    kind, padded = None, False
    for at in range(start, end, _PIECE):
        try:
            content = base64.b64decode(url[at : at + _PIECE], validate=True)
        except ValueError:
            return None
        kind = kind or binary_kind(content)
        if padded or not kind:
            return None
        padded = len(content) % 3 != 0
    return (kind, url[start:]) if kind else None


def _unescape(url: str, at: int) -> Iterator[bytes]:
    """Yield what a URL holds from a place on, in pieces, so that other threads run between two."""
    while at < len(url):
        piece = url[at : at + _PIECE]
        # An escape is not cut, if it is one.
        cut = piece.rfind("%", len(piece) - 2) if at + _PIECE < len(url) else -1
        piece = piece if cut < 1 else piece[:cut]
        at += len(piece)
        yield unquote_to_bytes(piece)


def _from_base64(pieces: Iterable[bytes]) -> bytes:
    content, rest = bytearray(), b""
    try:
        for piece in pieces:
            plain = rest + piece.translate(_BASE64_STANDARD, delete=_IGNORED)
            whole = len(plain.rstrip(b"=")) // 4 * 4
            content += base64.b64decode(plain[:whole], validate=True)
            rest = plain[whole : whole + _MOST_REST]
        rest = rest.rstrip(b"=")
        content += base64.b64decode(rest + b"=" * (-len(rest) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InputError("the data: URL's base64 is broken.", advice="Encode the file anew.") from None
    return bytes(content)


def _in_utf8(text: bytes, parameters: list[str]) -> bytes:
    named = next((p.partition("=")[2] for p in parameters if p.lower().startswith("charset=")), "utf-8")
    try:
        name = codecs.lookup(named.strip("\"'") or "utf-8").name
        # Python knows more than character sets, and some of it takes time that grows as the square: punycode.
        known = name != "utf-8" and _CHARSET.fullmatch(name)
        return b"".join(piece.encode() for piece in _decode(text, name)) if known else text
    except (LookupError, UnicodeError, ValueError):
        return text  # told as what it is: not UTF-8
