"""Streams that end otherwise than they should."""

import zlib
from gzip import compress

from runapi_mcp.sim.play import HangUp, Pause, Play
from runapi_mcp.sim.scenarios._registry import scenario
from runapi_mcp.sim.scenarios.streams import half
from runapi_mcp.sim.scene import Scene


def _frames(scene: Scene) -> list[bytes]:
    return scene.frames(scene.chunks())


@scenario("cut-chunked", "The connection closes half-way, without the final HTTP chunk.")
def cut_chunked(scene: Scene) -> Play:
    """The client's HTTP library can tell."""
    return scene.event_stream([*half(_frames(scene)), HangUp()])


@scenario("cut-clean", "The response ends properly half-way through the answer.")
def cut_clean(scene: Scene) -> Play:
    """Only the missing finish reason tells."""
    return scene.event_stream(half(_frames(scene)))


@scenario("cut-mid-event", "The response ends properly in the middle of an event.")
def cut_mid_event(scene: Scene) -> Play:
    """Half a JSON object at the end."""
    *whole, last = half(_frames(scene))
    return scene.event_stream([*whole, last[: len(last) // 2]])


@scenario("cut-rst", "The connection is reset half-way (TCP RST).")
def cut_rst(scene: Scene) -> Play:
    """The client's read fails."""
    return scene.event_stream([*half(_frames(scene)), HangUp(reset=True)])


@scenario("cut-before-headers", "The connection closes without any response.")
def cut_before_headers(scene: Scene) -> Play:
    """Nobody knows whether the request was processed."""
    return scene.event_stream([HangUp()])


@scenario("cut-gzip", "A gzip stream is cut half-way while HTTP ends properly.")
def cut_gzip(scene: Scene) -> Play:
    """The decoder notices nothing (docs/wire.md §7.1)."""
    packer = zlib.compressobj(wbits=31)
    packed = [packer.compress(frame) + packer.flush(zlib.Z_SYNC_FLUSH) for frame in half(_frames(scene))]
    packed[-1] = packed[-1][: max(len(packed[-1]) - 3, 1)]
    return scene.event_stream(packed, headers={"content-encoding": "gzip"})


@scenario("gzip", "A complete answer, compressed and flushed event by event.")
def gzip(scene: Scene) -> Play:
    """To be read like any other."""
    packer = zlib.compressobj(wbits=31)
    frames = [*_frames(scene), *scene.done()]
    packed = [packer.compress(frame) + packer.flush(zlib.Z_SYNC_FLUSH) for frame in frames]
    return scene.event_stream([*packed, packer.flush()], headers={"content-encoding": "gzip"})


@scenario("double-gzip", "A complete answer, compressed twice, as a bomb of 14 kB for 4 GB would be.")
def double_gzip(scene: Scene) -> Play:
    """`Content-Encoding: gzip, gzip` (docs/wire.md §7.1)."""
    plain = b"".join([*_frames(scene), *scene.done()])
    twice = compress(compress(plain))
    return scene.event_stream([twice], headers={"content-encoding": "gzip, gzip"})


@scenario("false-gzip", "The header says gzip, the body is plain.")
def false_gzip(scene: Scene) -> Play:
    """The client's HTTP library gives up."""
    return scene.event_stream([*_frames(scene), *scene.done()], headers={"content-encoding": "gzip"})


@scenario("held-open", "A complete answer, then the socket is held open.", "seconds")
def held_open(scene: Scene) -> Play:
    """The answer is there; the response is not over for `seconds`."""
    return scene.event_stream([*_frames(scene), *scene.done(), Pause(scene.seconds)])


@scenario("no-done", "A complete answer without [DONE].", only="chat")
def no_done(scene: Scene) -> Play:
    """The finish reason is there."""
    return scene.event_stream(_frames(scene))


@scenario("no-final-blank-line", "The last event is not followed by its blank line.")
def no_final_blank_line(scene: Scene) -> Play:
    """Strict parsers drop it."""
    *whole, last = [*_frames(scene), *scene.done()]
    return scene.event_stream([*whole, last.rstrip(b"\r\n")])


@scenario("data-after-done", "More text after the end, and a second end.", only="chat")
def data_after_done(scene: Scene) -> Play:
    """To be ignored."""
    late = scene.frame(scene.voice.text_chunk(" Too late.", scene.asked.model))
    return scene.event_stream([*_frames(scene), *scene.done(), late, *scene.done()])
