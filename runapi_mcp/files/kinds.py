"""What a file is: by its content, and by the suffix only where its content is not here."""

import mimetypes
from typing import Final

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
_NOT_TAKEN: Final = ("image/svg+xml", "image/gif", "image/tiff", "image/bmp")
_CONTROL: Final = frozenset(range(32)) - frozenset(b"\t\n\r\f\x1b")
_LOOKED_AT: Final = 65_536
_ENCODINGS: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


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

    UTF-8, or UTF-16 with its mark; control characters, NUL among them, are not text.
    """
    encoding = next((name for mark, name in _ENCODINGS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if any(ord(c) in _CONTROL for c in text) else text


def is_meant_as_text(content: bytes) -> bool:
    """Whether a file that is no text to :func:`as_text` seems to be one, in another encoding."""
    return not any(byte in _CONTROL for byte in content[:_LOOKED_AT])


def kind_of_url(host: str, path: str) -> str | None:
    """Return the media type of what a URL leads to, by its suffix; `None` if it is one that is not taken.

    Without a suffix that says more it is taken for an image, which both dialects carry.
    """
    if host.removeprefix("www.") in ("youtube.com", "youtu.be", "m.youtube.com"):
        return "video/mp4"
    guessed, _ = mimetypes.guess_type(path)
    return "image/jpeg" if guessed is None else guessed if is_taken(guessed) else None


def is_taken(kind: str) -> bool:
    """Whether files of this media type can be passed on."""
    return kind.startswith(_TAKEN) and kind not in _NOT_TAKEN
