"""Google's own dialect: the literal chunks of docs/wire.md §6.2 and §6.3."""

from collections.abc import Iterator

from runapi_mcp.sim.asked import Asked, JsonObject
from runapi_mcp.sim.corpus import Grounding, Segment
from runapi_mcp.sim.script import Beat, Finish, FunctionCall, Script, Style, Tally, Text, Thought

EOL = "\r\n"
SIGNATURE = "QUJD"

FINISH: dict[Finish, str] = {"stop": "STOP", "length": "MAX_TOKENS", "filtered": "SAFETY", "called": "STOP"}

STATUS_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def chunks(script: Script, asked: Asked, style: Style) -> Iterator[JsonObject]:
    """The chunks of a script, one a beat; the last carries finish, usage and grounding."""
    tally = Tally.before(script, style, asked.prompt_tokens)
    beats: list[Beat | None] = [
        beat for beat in script.beats if not (style.thoughts == "silent" and isinstance(beat, Thought))
    ]
    if any(isinstance(beat, Thought) for beat in script.beats):
        beats.append(None)
    for place, beat in enumerate(beats or [None]):
        if beat is not None:
            tally.count(beat)
        last = place >= len(beats) - 1
        candidate: JsonObject = {"content": _content(beat, script), "index": 0}
        if last:
            candidate["finishReason"] = script.raw_finish or FINISH[script.finish]
            _ground(candidate, script, style)
        told = style.usage in ("every", "early-partial") or (last and style.usage == "last")
        yield envelope([candidate], asked.model, _usage(tally) if told else None)
    if style.usage == "separate":
        yield envelope([], asked.model, _usage(tally))


def envelope(candidates: list[JsonObject], model: str, usage: JsonObject | None = None) -> JsonObject:
    """A chunk around its candidates."""
    chunk: JsonObject = {"candidates": candidates} if candidates else {}
    if usage is not None:
        chunk["usageMetadata"] = usage
    return {**chunk, "modelVersion": model, "responseId": "simulated-1"}


def text_chunk(text: str, model: str, finish: str | None = None) -> JsonObject:
    """One chunk of answer text."""
    candidate: JsonObject = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return envelope([candidate], model)


def blocked(asked: Asked, reason: str) -> JsonObject:
    """The one chunk of a prompt that was blocked: no candidates."""
    usage = {"promptTokenCount": asked.prompt_tokens, "totalTokenCount": asked.prompt_tokens}
    return {"promptFeedback": {"blockReason": reason}, "usageMetadata": usage, "modelVersion": asked.model}


def error(status: int, message: str, word: str, details: list[JsonObject] | None = None) -> JsonObject:
    """An error in Google's shape (docs/wire.md §3.2 e)."""
    body: JsonObject = {"code": status, "message": message, "status": STATUS_WORDS.get(status, word.upper())}
    if details:
        body["details"] = details
    return {"error": body}


def grounding_metadata(grounding: Grounding, *, shift: int = 0) -> JsonObject:
    """`groundingMetadata` with offsets in UTF-8 bytes, `shift` bytes wrong, a start of 0 left out."""
    return {
        "webSearchQueries": [grounding.query],
        "searchEntryPoint": {"renderedContent": "<div>simulated search suggestions</div>"},
        "groundingChunks": [{"web": {"uri": page.redirect, "title": page.site}} for page in grounding.pages],
        "groundingSupports": [_support(grounding.text, segment, shift) for segment in grounding.segments],
    }


def _support(text: str, segment: Segment, shift: int) -> JsonObject:
    start = len(text[: segment.start].encode()) + shift
    end = len(text[: segment.end].encode()) + shift
    place: JsonObject = {"startIndex": start} if start else {}
    place.update(endIndex=end, text=text[segment.start : segment.end])
    return {"segment": place, "groundingChunkIndices": [segment.page]}


def _ground(candidate: JsonObject, script: Script, style: Style) -> None:
    if script.grounding is None or style.citations in ("none", "in text"):
        return
    if style.citations == "no chunks":
        candidate["groundingMetadata"] = {"webSearchQueries": [script.grounding.query]}
        return
    shift = 1 if style.citations == "off by one" else 0
    candidate["groundingMetadata"] = grounding_metadata(script.grounding, shift=shift)


def _content(beat: Beat | None, script: Script) -> JsonObject:
    if beat is None and not script.text:
        return {"role": "model"}
    return {"parts": [_part(beat)], "role": "model"}


def _part(beat: Beat | None) -> JsonObject:
    match beat:
        case Thought(text):
            return {"text": text, "thought": True}
        case Text(text):
            return {"text": text}
        case FunctionCall(name, arguments):
            call = {"id": "f1", "name": name, "args": arguments}
            return {"functionCall": call, "thoughtSignature": SIGNATURE}
        case None:
            return {"text": "", "thoughtSignature": SIGNATURE}


def _usage(tally: Tally) -> JsonObject:
    usage: JsonObject = {"promptTokenCount": tally.prompt}
    if tally.completion:
        usage["candidatesTokenCount"] = tally.completion
    usage["totalTokenCount"] = tally.total
    if tally.thinking:
        usage["thoughtsTokenCount"] = tally.thinking
    usage["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": tally.prompt}]
    return usage
