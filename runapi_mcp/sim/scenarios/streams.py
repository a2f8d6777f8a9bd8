"""Streams that begin well and go on strangely: waits, floods, errors in the middle, odd chunks."""

import json
import math
from collections.abc import Iterator
from itertools import chain

from runapi_mcp.sim.play import HangUp, Pause, Play, Say, Step
from runapi_mcp.sim.scenarios._registry import scenario
from runapi_mcp.sim.scene import Scene
from runapi_mcp.sim.script import Style

_OVERLOADED = "Simulated: the model is overloaded."


def half(frames: list[bytes]) -> list[bytes]:
    """The first half of the frames, at least one of them, and never the last of several."""
    return frames[: max(len(frames) // 2, 1)]


def _half(scene: Scene) -> list[bytes]:
    return half(scene.frames(scene.chunks()))


@scenario("stall-headers", "Silence instead of a status line, then the line goes dead.", "seconds")
def stall_headers(scene: Scene) -> Play:
    """Nothing at all for `seconds`."""
    return scene.event_stream([HangUp()], before=scene.seconds)


@scenario(
    "stall-first", "Headers, then silence instead of the first event, then the line goes dead.", "seconds"
)
def stall_first(scene: Scene) -> Play:
    """No event for `seconds`."""
    return scene.event_stream([Pause(scene.seconds), HangUp()])


@scenario("stall-middle", "Half an answer, then silence, then the line goes dead.", "seconds")
def stall_middle(scene: Scene) -> Play:
    """Silent for `seconds`."""
    return scene.event_stream([*_half(scene), Pause(scene.seconds), HangUp()])


@scenario("pings-forever", "Half an answer, then only `: ping` comments (every=0.05).", "seconds", "every")
def pings_forever(scene: Scene) -> Play:
    """For `seconds`, then the line goes dead."""
    every = max(scene.cue.number("every", 0.05), 0.001)
    pings = _repeated(Say(b": ping\n\n", chunk=False), every, math.ceil(scene.seconds / every))
    return scene.event_stream(chain(_half(scene), pings))


@scenario("slow-drip", "A byte at a time (every=0.001 seconds).", "seconds", "every")
def slow_drip(scene: Scene) -> Play:
    """Dripping ends after `seconds`, then the line goes dead if it was not through."""
    every = scene.cue.number("every", 0.001)
    frames = [*scene.frames(scene.chunks(scene.script(words=12))), *scene.done()]
    return Play(_drip(b"".join(frames), every, scene.seconds))


def _drip(octets: bytes, every: float, seconds: float) -> Iterator[Step]:
    waited = 0.0
    for octet in octets:
        yield Say(bytes([octet]), chunk=False)
        yield Pause(every)
        waited += every
        if waited > seconds:
            yield HangUp()


@scenario(
    "endless", "Text without end (size= characters a chunk, every= seconds).", "seconds", "every", "size"
)
def endless(scene: Scene) -> Play:
    """For `seconds`, then the line goes dead."""
    every = max(scene.cue.number("every", 0.002), 0.0001)
    size = max(scene.cue.whole("size", 1000), 10)
    frame = scene.frame(scene.voice.text_chunk(("simulated " * (size // 10 + 1))[:size], scene.asked.model))
    return Play(_repeated(Say(frame), every, math.ceil(scene.seconds / every)))


def _repeated(saying: Say, every: float, count: int) -> Iterator[Step]:
    for _ in range(count):
        yield saying
        yield Pause(every)
    yield HangUp()


@scenario("huge-event", "One event of many megabytes.", "mb")
def huge_event(scene: Scene) -> Play:
    """A text of `mb` megabytes (20 by default) in one chunk, then the normal answer."""
    text = "simulated " * int(scene.cue.number("mb", 20) * 100_000)
    chunk = scene.voice.text_chunk(text, scene.asked.model)
    return scene.event_stream([*scene.frames([chunk, *scene.chunks()]), *scene.done()])


@scenario("mid-error", "Half an answer, then an error object in the stream.", "status")
def mid_error(scene: Scene) -> Play:
    """The status is 200 long since."""
    return scene.event_stream([*_half(scene), scene.frame(_error(scene))])


@scenario("mid-error-event", "Half an answer, then `event: error`.")
def mid_error_event(scene: Scene) -> Play:
    """The error is in the event's name; its body is a plain message."""
    event = "event: error\ndata: " + json.dumps({"message": _OVERLOADED}) + "\n\n"
    return scene.event_stream([*_half(scene), event.encode()])


@scenario("mid-raw-json", "Half an answer, then an error as pretty-printed JSON without `data:`.")
def mid_raw_json(scene: Scene) -> Play:
    """Google's own habit (docs/wire.md §6.2)."""
    raw = json.dumps(_error(scene), indent=2)
    return scene.event_stream([*_half(scene), (raw + "\n").encode()])


@scenario("mid-error-string", 'Half an answer, then {"error": "text"} in the stream.')
def mid_error_string(scene: Scene) -> Play:
    """A string where others have an object."""
    return scene.event_stream([*_half(scene), scene.frame({"error": _OVERLOADED})])


@scenario(
    "mid-error-finish", "Half an answer, then an error, then a finish as if nothing had been.", "status"
)
def mid_error_finish(scene: Scene) -> Play:
    """Some bridges close every stream alike."""
    finish = scene.voice.text_chunk("", scene.asked.model, "stop" if scene.chat else "STOP")
    return scene.event_stream([*_half(scene), *scene.frames([_error(scene), finish]), *scene.done()])


@scenario("raw-json", "An event-stream type, but the body is one JSON error without `data:`.")
def raw_json(scene: Scene) -> Play:
    """Parsers of events see nothing at all."""
    return scene.event_stream([json.dumps(_error(scene), indent=2).encode()])


def _error(scene: Scene) -> object:
    status = scene.cue.whole("status", 503) if "status" in scene.cue.params else 503
    if scene.chat:
        return {"error": {"code": status, "message": _OVERLOADED, "status": "UNAVAILABLE"}}
    return scene.error(status, _OVERLOADED)


@scenario("garbage", "Half an answer, then an event that is not JSON.")
def garbage(scene: Scene) -> Play:
    """Something between us mangled it."""
    return scene.event_stream([*_half(scene), b'data: {"choices":[{"del\n\n'])


@scenario("double-finish", "The last chunk comes twice.")
def double_finish(scene: Scene) -> Play:
    """A repeated ending, without its text."""
    finish = "stop" if scene.chat else "STOP"
    again = scene.voice.text_chunk("", scene.asked.model, finish)
    return scene.event_stream([*scene.frames([*scene.chunks(), again]), *scene.done()])


@scenario("early-stop", "A finish reason before the text, and the text all the same.")
def early_stop(scene: Scene) -> Play:
    """A bridge's mistake (docs/wire.md §4)."""
    finish = "stop" if scene.chat else "STOP"
    early = scene.voice.text_chunk("", scene.asked.model, finish)
    return scene.event_stream([*scene.frames([early, *scene.chunks()]), *scene.done()])


@scenario("unknown-fields", "Chunks with fields and parts nobody has heard of.")
def unknown_fields(scene: Scene) -> Play:
    """To be ignored, all of it."""
    chunks: list[object] = [
        {**chunk, "x_simulated": {"deep": [1, None]}, "system_fingerprint": None} for chunk in scene.chunks()
    ]
    model = scene.asked.model
    strange: object = (
        {"choices": [{"index": 0, "delta": {"hologram": "⊕"}, "weather": "fine"}], "model": model}
        if scene.chat
        else {"candidates": [{"content": {"parts": [{"hologram": {"x": 1}}], "role": "model"}, "mood": 3}]}
    )
    return scene.event_stream([*scene.frames([chunks[0], strange, *chunks[1:]]), *scene.done()])


@scenario("null-fields", "Chunks with null deltas, null usage and empty choices between the good ones.")
def null_fields(scene: Scene) -> Play:
    """As relays pad their streams."""
    padding: list[object] = (
        [{"choices": []}, {"choices": [{"index": 0, "delta": None}], "usage": None}]
        if scene.chat
        else [
            {"candidates": []},
            {"candidates": [{"content": None}], "usageMetadata": None},
            {"candidates": None},
        ]
    )
    return scene.event_stream([*scene.frames([*padding, *scene.chunks()]), *scene.done()])


def _with_usage(scene: Scene, style: Style) -> Play:
    return scene.tell(None, style)


@scenario("no-usage", "An answer without usage.")
def no_usage(scene: Scene) -> Play:
    """The answer counts, its cost is unknown."""
    return _with_usage(scene, Style(usage="none"))


@scenario("usage-every-chunk", "Cumulative usage on every chunk, as Google sends it.")
def usage_every_chunk(scene: Scene) -> Play:
    """Not to be added up."""
    return _with_usage(scene, Style(usage="every"))


@scenario("usage-last-chunk", "Usage on the last chunk only.")
def usage_last_chunk(scene: Scene) -> Play:
    """With the finish reason."""
    return _with_usage(scene, Style(usage="last"))


@scenario("usage-separate", "Usage in a chunk of its own after the finish (`choices: []` on chat).")
def usage_separate(scene: Scene) -> Play:
    """As OpenAI sends it."""
    return _with_usage(scene, Style(usage="separate"))


@scenario("usage-early-partial", "An early usage without completion tokens, the full one at the end.")
def usage_early_partial(scene: Scene) -> Play:
    """The early one must not stay."""
    return _with_usage(scene, Style(usage="early-partial"))
