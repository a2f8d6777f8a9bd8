"""The OpenAI-compatible dialect: the literal chunks of docs/wire.md §5.2 and §5.3."""

import json
from collections.abc import Iterator

from runapi_mcp.sim.asked import Asked, JsonObject
from runapi_mcp.sim.corpus import Grounding
from runapi_mcp.sim.native import grounding_metadata
from runapi_mcp.sim.script import Beat, Finish, FunctionCall, Script, Style, Tally, Text, Thought

EOL = "\n"
DONE = "[DONE]"
CREATED = 1_700_000_000
CARD = "http://googleusercontent.com/card_content/0\n"

FINISH: dict[Finish, str] = {
    "stop": "stop",
    "length": "length",
    "filtered": "content_filter",
    # Google's layer says stop for a streamed call, though tool_calls when not streamed (docs/wire.md §5.2).
    "called": "stop",
}


def chunks(script: Script, asked: Asked, style: Style) -> Iterator[JsonObject]:
    """The chunks of a script, one a beat; the last carries the finish and, where asked for, the usage."""
    tally = Tally.before(script, style, asked.prompt_tokens)
    usage = style.usage if asked.include_usage else "none"
    deltas: list[tuple[Beat | None, JsonObject]] = [*_deltas(script, style)]
    deltas = deltas or [(None, {"role": "assistant"})]
    yield from _reasoned_sources(script, asked, style)
    for place, (beat, delta) in enumerate(deltas):
        if beat is not None:
            tally.count(beat)
        last = place == len(deltas) - 1
        choice: JsonObject = {"delta": delta, "index": 0}
        if last:
            choice["finish_reason"] = script.raw_finish or FINISH[script.finish]
            cite(choice, delta, script.grounding, style)
        early = usage == "early-partial" and place == 0
        told = early or usage == "every" or (last and usage not in ("none", "separate"))
        yield envelope([choice], asked.model, _usage(tally, partial=early and not last) if told else None)
    if usage == "separate":
        yield envelope([], asked.model, _usage(tally))


def envelope(choices: list[JsonObject], model: str, usage: JsonObject | None = None) -> JsonObject:
    """A chunk around its choices, keys in Google's order."""
    chunk: JsonObject = {"choices": choices, "created": CREATED, "id": "simulated-1", "model": model}
    chunk["object"] = "chat.completion.chunk"
    if usage is not None:
        chunk["usage"] = usage
    return chunk


def text_chunk(text: str, model: str, finish: str | None = None) -> JsonObject:
    """One chunk of answer text."""
    choice: JsonObject = {"delta": {"content": text, "role": "assistant"}, "index": 0}
    if finish is not None:
        choice["finish_reason"] = finish
    return envelope([choice], model)


def error(status: int, message: str, word: str, details: list[JsonObject] | None = None) -> JsonObject:
    """An error in OpenAI's shape (docs/wire.md §3.2 d)."""
    del details
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": word.lower()}}


def whole(script: Script, asked: Asked) -> JsonObject:
    """The answer in one JSON body, as when `stream` is false."""
    tally = Tally(asked.prompt_tokens)
    for beat in script.beats:
        tally.count(beat)
    message: JsonObject = {"role": "assistant", "content": script.text}
    calls = [_call(beat, at) for at, beat in enumerate(script.beats, 1) if isinstance(beat, FunctionCall)]
    if calls:
        message["tool_calls"] = calls
    finish = "tool_calls" if calls else script.raw_finish or FINISH[script.finish]
    choice: JsonObject = {"index": 0, "message": message, "finish_reason": finish}
    cite(choice, message, script.grounding, Style())
    body = envelope([choice], asked.model, _usage(tally))
    return {**body, "object": "chat.completion"}


def cite(choice: JsonObject, delta: JsonObject, grounding: Grounding | None, style: Style) -> None:
    """Put the sources of a search where the style says."""
    if grounding is None:
        return
    match style.citations:
        case "default":
            delta["annotations"] = _annotations(grounding)
        case "grounding":
            choice["groundingMetadata"] = grounding_metadata(grounding)
        case "grounding in delta":
            extra = {"grounding_metadata": grounding_metadata(grounding)}
            delta["extra_content"] = {"google": extra}
        case _:
            return


def _reasoned_sources(script: Script, asked: Asked, style: Style) -> Iterator[JsonObject]:
    if style.citations == "reasoning" and script.grounding is not None:
        rows = [
            {"site_title": page.title, "snippet": page.claim, "source_url": page.url}
            for page in script.grounding.pages
        ]
        reasoning = json.dumps(rows, ensure_ascii=False)
        yield envelope(
            [{"delta": {"role": "assistant", "reasoning_content": reasoning}, "index": 0}], asked.model
        )
        yield text_chunk(CARD, asked.model)


def _deltas(script: Script, style: Style) -> Iterator[tuple[Beat, JsonObject]]:
    thinking = False
    for number, beat in enumerate(script.beats, 1):
        match beat:
            case Thought(text):
                if style.thoughts != "silent":
                    yield beat, _thought(text, style, opening=not thinking)
                thinking = True
            case Text(text):
                closing = "</thought>" if thinking and style.thoughts in ("tags", "bare tags") else ""
                thinking = False
                yield beat, {"content": closing + text, "role": "assistant"}
            case FunctionCall():
                yield beat, {"role": "assistant", "tool_calls": [_call(beat, number)]}


def _thought(text: str, style: Style, *, opening: bool) -> JsonObject:
    if style.thoughts in ("reasoning_content", "reasoning"):
        return {"role": "assistant", style.thoughts: text}
    delta: JsonObject = {"role": "assistant", "content": ("<thought>" if opening else "") + text}
    if style.thoughts == "tags":
        delta["extra_content"] = {"google": {"thought": True}}
    return delta


def _call(call: FunctionCall, number: int) -> JsonObject:
    function = {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}
    return {
        "id": f"function-call-{number}",
        "type": "function",
        "function": function,
        "extra_content": {"google": {"thought_signature": "QUJD"}},
    }


def _annotations(grounding: Grounding) -> list[JsonObject]:
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": segment.start,
                "end_index": segment.end,
                "url": grounding.pages[segment.page].url,
                "title": grounding.pages[segment.page].title,
            },
        }
        for segment in grounding.segments
    ]


def _usage(tally: Tally, *, partial: bool = False) -> JsonObject:
    if partial:
        return {"prompt_tokens": tally.prompt, "total_tokens": tally.prompt}
    return {
        "prompt_tokens": tally.prompt,
        "completion_tokens": tally.completion,
        "total_tokens": tally.total,
    }
