"""From a request to the script of its happy answer."""

import json
from dataclasses import replace

from runapi_mcp.sim.answers import (
    DEFAULT_WORDS,
    count_words,
    first_words,
    pieces,
    plain_answer,
    quoted,
    rest_of,
    slices,
    thoughts,
)
from runapi_mcp.sim.asked import Asked
from runapi_mcp.sim.corpus import Grounding, search
from runapi_mcp.sim.cues import Cue
from runapi_mcp.sim.examples import example
from runapi_mcp.sim.script import Beat, Script, Text, Thought


def compose(asked: Asked, cue: Cue, *, thinking: bool = False) -> Script:
    """Thoughts where they are shown (or `thinking` insists), then the answer, up to `max_tokens` words."""
    grounding = search(asked.question) if asked.search and not asked.json_wanted else None
    full = cue.params.get("text") or (grounding.text if grounding else answer_text(asked, cue))
    text = rest_of(full, asked.partial)
    script = written(text, asked, thinking=thinking)
    if grounding is None or "text" in cue.params:
        return script
    return replace(script, grounding=_remaining(grounding, text))


def written(text: str, asked: Asked, *, thinking: bool = False) -> Script:
    """The script that says `text`, cut with finish `length` where it is longer than `max_tokens` words."""
    beats: list[Beat] = [Thought(piece) for piece in thoughts()] if asked.thoughts or thinking else []
    too_long = asked.max_tokens is not None and count_words(text) > asked.max_tokens
    if too_long and asked.max_tokens is not None:
        text = first_words(text, asked.max_tokens)
    beats += [Text(piece) for piece in (slices(text) if asked.json_wanted else pieces(text))]
    if len(beats) == 1 and len(text) > 1:
        # Two at least, so that a stream cut half-way has no finish in the half that was sent.
        middle = len(text) // 2
        beats = [Text(text[:middle]), Text(text[middle:])]
    return Script(tuple(beats), "length" if too_long else "stop")


def answer_text(asked: Asked, cue: Cue) -> str:
    """The whole answer to the first question: JSON where asked for, else plain text."""
    if asked.json_wanted:
        return json.dumps(json_value(asked), ensure_ascii=False)
    return plain_answer(asked.question, _words(asked, cue))


def json_value(asked: Asked) -> object:
    """A value that conforms to the schema asked for."""
    if asked.schema is None:
        return {"simulated": True, "question": quoted(asked.question)}
    return example(asked.schema, asked.question)


def _words(asked: Asked, cue: Cue) -> int:
    """How long the answer is: as the cue says, or the first question's own marker, or as usual."""
    first = Cue.in_text(asked.marked_question)
    default = first.whole("words", DEFAULT_WORDS) if first else DEFAULT_WORDS
    return cue.whole("words", default)


def _remaining(grounding: Grounding, text: str) -> Grounding:
    return grounding if text == grounding.text else replace(grounding, text=text, segments=())
