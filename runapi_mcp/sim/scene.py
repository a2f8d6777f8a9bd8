"""What a scenario has to work with: the request, its parameters, and the dialect's ways of speaking."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from runapi_mcp.sim import chat, native
from runapi_mcp.sim.asked import Asked, JsonObject
from runapi_mcp.sim.compose import compose
from runapi_mcp.sim.cues import Cue
from runapi_mcp.sim.play import Pause, Play, Say, Step
from runapi_mcp.sim.script import Script, Style

STREAM = "text/event-stream"
JSON = "application/json"
PLAIN_STYLE = Style()


class Voice(Protocol):
    """What both dialect modules offer."""

    EOL: str

    def chunks(self, script: Script, asked: Asked, style: Style) -> Iterator[JsonObject]:
        """The chunks of a script."""
        ...

    def text_chunk(self, text: str, model: str, finish: str | None = None) -> JsonObject:
        """One chunk of answer text."""
        ...

    def error(
        self, status: int, message: str, word: str, details: list[JsonObject] | None = None
    ) -> JsonObject:
        """An error object."""
        ...


def compact(value: object) -> str:
    """JSON without blanks; escaped where raw UTF-8 cannot hold it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if text.isascii() or _encodable(text) else json.dumps(value, separators=(",", ":"))


def _encodable(text: str) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


@dataclass(frozen=True)
class Scene:
    """One request to be played."""

    asked: Asked
    cue: Cue
    usual_pace: float
    """Seconds between chunks where the cue does not say."""
    usual_stall: float
    """Seconds a waiting scenario waits where the cue does not say."""
    time: int
    """How often this question was played with this scenario, this time included."""

    @property
    def chat(self) -> bool:
        """Whether the request came in the OpenAI-compatible dialect."""
        return self.asked.dialect == "chat"

    @property
    def voice(self) -> Voice:
        """The dialect's module."""
        return chat if self.chat else native

    @property
    def pace(self) -> float:
        """Seconds between chunks."""
        return self.cue.number("pace", self.usual_pace)

    @property
    def seconds(self) -> float:
        """Seconds a waiting scenario waits."""
        return self.cue.number("seconds", self.usual_stall)

    def script(self, words: int | None = None) -> Script:
        """The script of the happy answer, `words` long where neither cue nor question says."""
        cue = self.cue
        if words is not None and "words" not in cue.params:
            cue = Cue(cue.name, {**cue.params, "words": str(words)})
        return compose(self.asked, cue)

    def chunks(self, script: Script | None = None, style: Style = PLAIN_STYLE) -> list[JsonObject]:
        """The chunks of a script, by default of the happy answer."""
        return list(self.voice.chunks(script or self.script(), self.asked, style))

    def error(
        self, status: int, message: str, word: str = "", details: list[JsonObject] | None = None
    ) -> JsonObject:
        """An error object in the dialect's own shape."""
        return self.voice.error(status, message, word, details)

    def frame(self, chunk: object, eol: str | None = None) -> bytes:
        """One chunk as one server-sent event."""
        eol = eol or self.voice.EOL
        return f"data: {compact(chunk)}{eol}{eol}".encode()

    def frames(self, chunks: Iterable[object], eol: str | None = None) -> list[bytes]:
        """Chunks as server-sent events, without the end marker."""
        return [self.frame(chunk, eol) for chunk in chunks]

    def done(self, eol: str | None = None) -> list[bytes]:
        """The end marker: `[DONE]` on chat, nothing on the native path (docs/wire.md §5.2, §6.2)."""
        eol = eol or self.voice.EOL
        return [f"data: {chat.DONE}{eol}{eol}".encode()] if self.chat else []

    def event_stream(
        self,
        pieces: Iterable[bytes | Step],
        *,
        content_type: str = STREAM,
        headers: Mapping[str, str] | None = None,
        before: float = 0.0,
    ) -> Play:
        """A stream of writes at the scene's pace."""
        return Play(self._paced(pieces), 200, content_type, headers or {}, before)

    def tell(self, script: Script | None = None, style: Style = PLAIN_STYLE) -> Play:
        """An answer as it should be: events, or the JSON body of a request that asked for no events."""
        script = script or self.script()
        if self.asked.framed:
            return self.event_stream([*self.frames(self.chunks(script, style)), *self.done()])
        if self.chat:
            return body(200, JSON, compact(chat.whole(script, self.asked)))
        return self.event_stream(array(self.chunks(script, style)), content_type=JSON)

    def _paced(self, pieces: Iterable[bytes | Step]) -> Iterator[Step]:
        first = True
        for piece in pieces:
            if isinstance(piece, bytes):
                yield Pause(0 if first else self.pace)
                yield Say(piece, chunk=chat.DONE.encode() not in piece)
                first = False
            else:
                yield piece


def body(
    status: int, content_type: str | None, text: str | bytes, headers: Mapping[str, str] | None = None
) -> Play:
    """A response that is no stream."""
    octets = text if isinstance(text, bytes) else text.encode()
    return Play([Say(octets, chunk=False)] if octets else [], status, content_type, headers or {})


def array(chunks: Iterable[object]) -> Iterator[bytes]:
    """Chunks as the pieces of one JSON array, as native streams without `alt=sse` (docs/wire.md §6.2)."""
    opening = "["
    for chunk in chunks:
        yield (opening + compact(chunk)).encode()
        opening = ",\r\n"
    yield b"[]" if opening == "[" else b"]"
