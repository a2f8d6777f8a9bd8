"""What relays, and Google's own layers, make of a good answer (docs/wire.md §5.2, §5.3, §6.2)."""

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

from runapi_mcp.sim.answers import thoughts
from runapi_mcp.sim.asked import JsonObject
from runapi_mcp.sim.chat import envelope
from runapi_mcp.sim.compose import compose
from runapi_mcp.sim.native import grounding_metadata
from runapi_mcp.sim.play import Play
from runapi_mcp.sim.scenarios._registry import scenario
from runapi_mcp.sim.scene import Scene
from runapi_mcp.sim.script import Script, Style, Text, Thought


def _told(scene: Scene, chunks: list[JsonObject]) -> Play:
    return scene.event_stream([*scene.frames(chunks), *scene.done()])


def _searched(scene: Scene) -> Script:
    return compose(replace(scene.asked, search=True), scene.cue)


def _choice(scene: Scene, chunk: JsonObject) -> dict[str, Any]:
    choices: Any = chunk["choices" if scene.chat else "candidates"]
    found: dict[str, Any] = choices[0]
    return found


@scenario("late-error", "An answer (part=half for half of it) and its finish, then an error.", "part")
def late_error(scene: Scene) -> Play:
    """As data on chat, as bare JSON in the stream on native."""
    error = scene.error(503, "Simulated: the model is overloaded.", "UNAVAILABLE")
    script = scene.script()
    if scene.cue.text("part", "whole") == "half":
        script = script.first(len(script.beats) // 2, "stop")
    frames = scene.frames(scene.chunks(script))
    last = scene.frame(error) if scene.chat else json.dumps(error, indent=2).encode() + b"\n"
    return scene.event_stream([*frames, last, *scene.done()])


@scenario("whole-message", "A stream whose last chunk is the whole message once more.", only="chat")
def whole_message(scene: Scene) -> Play:
    """With ``message`` in place of ``delta``."""
    script = scene.script()
    chunks = scene.chunks(script)
    choice = {"index": 0, "message": {"role": "assistant", "content": script.text}, "finish_reason": "stop"}
    return _told(scene, [*chunks, {**envelope([choice], scene.asked.model), "object": "chat.completion"}])


@scenario("last-chunk-twice", "The last chunk comes twice, word for word.")
def last_chunk_twice(scene: Scene) -> Play:
    """Text, finish, usage and all."""
    chunks = scene.chunks()
    return _told(scene, [*chunks, chunks[-1]])


@scenario("think-tags", "Thinking as text of the answer, between tags (tag=think).", "tag")
def think_tags(scene: Scene) -> Play:
    """``<think>``, or what `tag` says, on both dialects."""
    tag = scene.cue.text("tag", "think")
    script = compose(scene.asked, scene.cue, thinking=True)
    answer = [beat for beat in script.beats if not isinstance(beat, Thought)]
    plan = [Text(f"<{tag}>\n"), *(Text(piece) for piece in thoughts(6)), Text(f"\n</{tag}>\n\n")]
    return scene.tell(replace(script, beats=(*plan, *answer)))


@scenario("reasoning-details", "Thoughts in delta.reasoning_details beside an empty field.", only="chat")
def reasoning_details(scene: Scene) -> Play:
    """OpenRouter's blocks."""
    chunks = scene.chunks(compose(scene.asked, scene.cue, thinking=True), Style(thoughts="reasoning"))
    for delta in (_choice(scene, chunk)["delta"] for chunk in chunks):
        if text := delta.pop("reasoning", ""):
            details = [{"type": "reasoning.text", "text": text, "format": "google-gemini-v1", "index": 0}]
            delta |= {"reasoning_content": "", "reasoning_details": details}
    return _told(scene, chunks)


@scenario("prompt-feedback", "The prompt is refused in Google's words, without a choice.", only="chat")
def prompt_feedback(scene: Scene) -> Play:
    """``prompt_feedback`` on chat."""
    chunk = envelope([], scene.asked.model)
    return _told(scene, [chunk | {"prompt_feedback": {"block_reason": "PROHIBITED_CONTENT"}}])


@scenario("grounding-at-root", "Search: grounding metadata at the root of a chunk, in a list on chat.")
def grounding_at_root(scene: Scene) -> Play:
    """LiteLLM's ``vertex_ai_grounding_metadata``; on native, beside the candidates."""
    script = _searched(scene)
    chunks = scene.chunks(script, Style(citations="none"))
    if script.grounding is not None:
        metadata = grounding_metadata(script.grounding)
        name = "vertex_ai_grounding_metadata" if scene.chat else "groundingMetadata"
        chunks[-1][name] = [metadata] if scene.chat else metadata
    return _told(scene, chunks)


@scenario("grounding-in-lots", "Search: sources one by one, what they support after them.", only="native")
def grounding_in_lots(scene: Scene) -> Play:
    """A chunk for each source, then a chunk of supports alone, after the finish."""
    script = _searched(scene)
    chunks = scene.chunks(script, Style(citations="none"))
    if script.grounding is not None:
        metadata: Any = grounding_metadata(script.grounding)
        lots = [{"groundingChunks": [chunk]} for chunk in metadata["groundingChunks"]]
        lots.append({"groundingSupports": metadata["groundingSupports"]})
        chunks += [{"candidates": [{"groundingMetadata": lot}]} for lot in lots]
    return _told(scene, chunks)


@scenario("links-beside", "Search: sources as a bare list of links beside the choices.", only="chat")
def links_beside(scene: Scene) -> Play:
    """``citations: [url, ...]``."""
    script = _searched(scene)
    chunks = scene.chunks(script, Style(citations="none"))
    if script.grounding is not None:
        chunks[-1]["citations"] = [page.url for page in script.grounding.pages]
    return _told(scene, chunks)


@scenario("odd-sources", "Search: sources in a shape that nobody knows.")
def odd_sources(scene: Scene) -> Play:
    """Grounding chunks without links."""
    chunks = scene.chunks(_searched(scene), Style(citations="none"))
    chunks[-1]["groundingMetadata"] = {"groundingChunks": [{"page": {"number": 5}}]}
    return _told(scene, chunks)


@scenario("usage-zero-last", "Token counts on every chunk, and a last one of zeros.")
def usage_zero_last(scene: Scene) -> Play:
    """As some relays close a stream."""
    chunks = scene.chunks()
    if scene.chat:
        zeros: JsonObject = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        return _told(scene, [*chunks, envelope([], scene.asked.model, zeros)])
    zeros = {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}
    return _told(scene, [*chunks, {"usageMetadata": zeros}])


@scenario("calls-same-index", "Two function calls, both with index 0, each in one piece.", only="chat")
def calls_same_index(scene: Scene) -> Play:
    """As Google's OpenAI layer has them; the last one once more at the end."""
    first = next(iter(scene.asked.functions), None)
    name = first.name if first else "lookup"
    functions = [{"name": name, "arguments": json.dumps({"q": f"simulated {n}"})} for n in (1, 2)]
    calls = [{"index": 0, "id": f"call-{n}", "function": f} for n, f in enumerate(functions, 1)]
    chunks = [envelope([{"index": 0, "delta": {"tool_calls": [call]}}], scene.asked.model) for call in calls]
    last = deepcopy(chunks[-1])
    _choice(scene, last)["finish_reason"] = "tool_calls"
    return _told(scene, [*chunks, last])
