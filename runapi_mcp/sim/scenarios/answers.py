"""Answers that succeed, in all the ways an answer may be shaped."""

from dataclasses import replace

from runapi_mcp.sim.answers import thoughts
from runapi_mcp.sim.asked import Function
from runapi_mcp.sim.compose import compose, written
from runapi_mcp.sim.corpus import search
from runapi_mcp.sim.examples import example
from runapi_mcp.sim.native import blocked
from runapi_mcp.sim.play import Pause, Play
from runapi_mcp.sim.scenarios._registry import scenario
from runapi_mcp.sim.scene import Scene
from runapi_mcp.sim.script import FunctionCall, Script, Style, Text, Thought


@scenario("default", "A good answer: plain, grounded or JSON, as the request asks.")
def default(scene: Scene) -> Play:
    """The happy path."""
    return scene.tell()


@scenario("slow", "A long answer spread over some seconds.", "seconds")
def slow(scene: Scene) -> Play:
    """Pieces with equal pauses between them, which add up to `seconds`."""
    frames = scene.frames(scene.chunks(scene.script(words=240)))
    gap = Pause(scene.seconds / max(len(frames), 1))
    return scene.event_stream([*(step for frame in frames for step in (frame, gap)), *scene.done()])


@scenario("silent-thinking", "Headers, silence while the model thinks, then the answer.", "seconds")
def silent_thinking(scene: Scene) -> Play:
    """Nothing at all during the thinking."""
    frames = scene.frames(
        scene.chunks(compose(scene.asked, scene.cue, thinking=True), Style(thoughts="silent"))
    )
    return scene.event_stream([Pause(scene.seconds), *frames, *scene.done()])


@scenario("thinking", "Thoughts for a while, then the answer.", "seconds", "n")
def thinking(scene: Scene) -> Play:
    """`n` pieces of thought over `seconds`."""
    count = max(scene.cue.whole("n", 12), 1)
    answer = [beat for beat in scene.script().beats if not isinstance(beat, Thought)]
    script = Script((*(Thought(piece) for piece in thoughts(count)), *answer))
    frames = scene.frames(scene.chunks(script))
    paused = [step for frame in frames[:count] for step in (frame, Pause(scene.seconds / count))]
    return scene.event_stream([*paused, *frames[count:], *scene.done()])


def _thinking_as(scene: Scene, style: Style) -> Play:
    return scene.tell(compose(scene.asked, scene.cue, thinking=True), style)


@scenario("thought-tags", "Thoughts between literal <thought> tags, flagged per chunk.", only="chat")
def thought_tags(scene: Scene) -> Play:
    """As Google's OpenAI layer has them (docs/wire.md §5.2)."""
    return _thinking_as(scene, Style(thoughts="tags"))


@scenario("bare-thought-tags", "Thoughts between <thought> tags without the flag.", only="chat")
def bare_thought_tags(scene: Scene) -> Play:
    """The tags alone."""
    return _thinking_as(scene, Style(thoughts="bare tags"))


@scenario("reasoning-content", "Thoughts in delta.reasoning_content, as relays send them.", only="chat")
def reasoning_content(scene: Scene) -> Play:
    """A field of its own."""
    return _thinking_as(scene, Style(thoughts="reasoning_content"))


@scenario("reasoning", "Thoughts in delta.reasoning, as other relays send them.", only="chat")
def reasoning(scene: Scene) -> Play:
    """A field of another name."""
    return _thinking_as(scene, Style(thoughts="reasoning"))


@scenario("no-thoughts", "The model thinks and is billed for it, but shows nothing.")
def no_thoughts(scene: Scene) -> Play:
    """Thinking appears in the usage only."""
    return _thinking_as(scene, Style(thoughts="silent"))


def _searching(scene: Scene, style: Style) -> Play:
    asked = replace(scene.asked, search=True)
    return scene.tell(compose(asked, scene.cue), style)


@scenario("annotations", "Search: sources as delta.annotations with url_citation.", only="chat")
def annotations(scene: Scene) -> Play:
    """The default for chat."""
    return _searching(scene, Style())


@scenario(
    "grounding-on-chat",
    "Search: Google's groundingMetadata on a chat choice (at=choice or delta).",
    "at",
    only="chat",
)
def grounding_on_chat(scene: Scene) -> Play:
    """Native grounding leaking through."""
    in_delta = scene.cue.text("at", "choice") == "delta"
    return _searching(scene, Style(citations="grounding in delta" if in_delta else "grounding"))


@scenario("search-reasoning-content", "Search: sources as a JSON string in reasoning_content.", only="chat")
def search_reasoning_content(scene: Scene) -> Play:
    """The relay form, with the card line before the answer."""
    return _searching(scene, Style(citations="reasoning"))


@scenario("links-in-text", "Search: sources only as links in the answer's text.")
def links_in_text(scene: Scene) -> Play:
    """Markdown links and nothing else."""
    found = search(scene.asked.question)
    lines = [f"{page.claim} ([{page.title}]({page.url}))" for page in found.pages]
    return scene.tell(written("\n".join(["A simulated search found:", *lines]), scene.asked))


@scenario("no-sources", "Search: an answer without any source.")
def no_sources(scene: Scene) -> Play:
    """Nobody promises sources on chat."""
    return _searching(scene, Style(citations="none"))


@scenario(
    "offset-off-by-one", "Search: byte offsets one too large, as Google sometimes sends.", only="native"
)
def offset_off_by_one(scene: Scene) -> Play:
    """The segment's text is right, its place is not."""
    return _searching(scene, Style(citations="off by one"))


@scenario("grounding-no-chunks", "Search: groundingMetadata with queries but no sources.", only="native")
def grounding_no_chunks(scene: Scene) -> Play:
    """The model chose not to search."""
    return _searching(scene, Style(citations="no chunks"))


@scenario("tool-call", "A function call instead of text (finish= to send another finish reason).", "finish")
def tool_call(scene: Scene) -> Play:
    """The first declared function, or one nobody declared."""
    function = next(
        iter(scene.asked.functions), Function("lookup", {"properties": {"q": {"type": "string"}}})
    )
    arguments = example(function.parameters, scene.asked.question)
    call = FunctionCall(function.name, arguments if isinstance(arguments, dict) else {})
    return scene.tell(Script((call,), "called", scene.cue.params.get("finish")))


@scenario("empty-stop", "A successful answer without a word.")
def empty_stop(scene: Scene) -> Play:
    """Finish `stop`, no text."""
    return scene.tell(Script((), "stop"))


@scenario("length-thinking", "Thinking used up the output limit; no answer.")
def length_thinking(scene: Scene) -> Play:
    """Finish `length` after thoughts that are not shown unless asked for."""
    shown = Style() if scene.asked.thoughts else Style(thoughts="silent")
    return scene.tell(Script(tuple(Thought(piece) for piece in thoughts(8)), "length"), shown)


@scenario("length", "The output limit is reached half-way through the answer.")
def length(scene: Scene) -> Play:
    """Finish `length`; a continued conversation gets the rest."""
    script = scene.script()
    return scene.tell(script.first((len(script.beats) + 1) // 2, "length"))


@scenario("blocked-prompt", "The prompt is refused by a safety filter.", "reason")
def blocked_prompt(scene: Scene) -> Play:
    """No candidate at all (native), or an empty `content_filter` ending (chat)."""
    if scene.chat:
        return scene.tell(Script((), "filtered"))
    chunk = blocked(scene.asked, scene.cue.text("reason", "PROHIBITED_CONTENT"))
    return scene.event_stream(scene.frames([chunk]))


@scenario("blocked-middle", "A filter stops the answer half-way.", "reason")
def blocked_middle(scene: Scene) -> Play:
    """Half the text, then the filter's finish reason."""
    script = scene.script()
    half = script.first((len(script.beats) + 1) // 2, "filtered")
    return scene.tell(replace(half, raw_finish=scene.cue.params.get("reason")))


@scenario("finish", "A normal answer with a finish reason of your choice.", "reason")
def finish(scene: Scene) -> Play:
    """For finish reasons nobody has heard of."""
    return scene.tell(replace(scene.script(), raw_finish=scene.cue.text("reason", "SIMULATED_REASON")))


@scenario("lone-surrogate", "Text with halves of surrogate pairs, as \\ud83d escapes.")
def lone_surrogate(scene: Scene) -> Play:
    """Valid JSON that cannot become UTF-8."""
    script = scene.script()
    return scene.tell(replace(script, beats=(*script.beats, Text(" \ud83d and \udc1d."))))
