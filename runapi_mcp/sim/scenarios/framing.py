"""The same good answer in every framing that server-sent events allow, and some they do not."""

from collections.abc import Iterator

from runapi_mcp.sim.play import Pause, Play, Say, Step
from runapi_mcp.sim.scenarios._registry import scenario
from runapi_mcp.sim.scene import Scene


def _frames(scene: Scene, eol: str | None = None) -> list[bytes]:
    return [*scene.frames(scene.chunks(), eol), *scene.done(eol)]


@scenario("bom", "A byte order mark before the first event.")
def bom(scene: Scene) -> Play:
    """Parsers that do not skip it lose the first event."""
    first, *rest = _frames(scene)
    return scene.event_stream([b"\xef\xbb\xbf" + first, *rest])


@scenario("lf", "Lines end in LF.")
def lf(scene: Scene) -> Play:
    """The usual for chat."""
    return scene.event_stream(_frames(scene, "\n"))


@scenario("crlf", "Lines end in CR LF.")
def crlf(scene: Scene) -> Play:
    """The usual for the native path."""
    return scene.event_stream(_frames(scene, "\r\n"))


@scenario("lone-cr", "Lines end in CR.")
def lone_cr(scene: Scene) -> Play:
    """Allowed and rare."""
    return scene.event_stream(_frames(scene, "\r"))


@scenario("split-bytes", "Every byte is written by itself.")
def split_bytes(scene: Scene) -> Play:
    """Splits inside UTF-8, inside CR LF, inside `data:`."""
    return Play(_singly(_frames(scene)))


def _singly(frames: list[bytes]) -> Iterator[Step]:
    for frame in frames:
        for place, octet in enumerate(frame, 1):
            yield Say(bytes([octet]), chunk=place == len(frame))
            yield Pause(0)


@scenario("split-utf8", "Writes end inside multi-byte characters.")
def split_utf8(scene: Scene) -> Play:
    """Every character beyond ASCII is torn after its first byte."""
    return scene.event_stream([step for frame in _frames(scene) for step in _torn(frame)])


def _torn(frame: bytes) -> list[Step]:
    pieces, start = [], 0
    for place in range(1, len(frame)):
        if frame[place - 1] >= 0xC0:
            pieces.append(frame[start:place])
            start = place
    pieces.append(frame[start:])
    steps: list[Step] = []
    for number, piece in enumerate(pieces, 1):
        steps += [Say(piece, chunk=number == len(pieces)), Pause(0.001)]
    return steps


@scenario("one-write", "The whole stream in a single write.")
def one_write(scene: Scene) -> Play:
    """As from a proxy that buffers."""
    return scene.event_stream([b"".join(_frames(scene))])


@scenario("two-objects", "Two JSON objects in one event, on two data lines.")
def two_objects(scene: Scene) -> Play:
    """The blank line between them is missing."""
    first, second, *rest = _frames(scene)
    eol = scene.voice.EOL.encode()
    return scene.event_stream([first.removesuffix(eol) + second, *rest])


@scenario("id-and-comments", "Events with ids, then comments that parsers turn into empty events.")
def id_and_comments(scene: Scene) -> Play:
    """An id sticks (docs/wire.md §7.1)."""
    first, *rest = _frames(scene)
    return scene.event_stream(
        [b"id: 1\nretry: 3000\n" + first, *(b": simulated\n\n" + frame for frame in rest)]
    )


@scenario("no-space", "`data:` without the space after it.")
def no_space(scene: Scene) -> Play:
    """Allowed by the standard."""
    return scene.event_stream([frame.replace(b"data: ", b"data:", 1) for frame in _frames(scene)])


@scenario("upper-content-type", "The content type in capitals.")
def upper_content_type(scene: Scene) -> Play:
    """Header values of this kind are case-insensitive."""
    return scene.event_stream(_frames(scene), content_type="Text/Event-Stream")


@scenario("latin1-charset", "The content type claims iso-8859-1, the bytes are UTF-8.")
def latin1_charset(scene: Scene) -> Play:
    """Server-sent events are always UTF-8."""
    return scene.event_stream(_frames(scene), content_type="text/event-stream; charset=iso-8859-1")


@scenario("line-separators", "Text with U+2028, U+2029, U+0085 and form feeds inside.")
def line_separators(scene: Scene) -> Play:
    """Not line ends in server-sent events."""
    strange = scene.voice.text_chunk("a\u2028b\u2029c\u0085d\u000ce", scene.asked.model)
    return scene.event_stream([scene.frame(strange), *_frames(scene)])
