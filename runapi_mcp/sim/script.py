"""What the model will say, before any dialect: thoughts, text, calls, sources, and how it ends."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from runapi_mcp.sim.corpus import Grounding

Finish = Literal["stop", "length", "filtered", "called"]


@dataclass(frozen=True)
class Thought:
    """A piece of thinking."""

    text: str


@dataclass(frozen=True)
class Text:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True)
class FunctionCall:
    """A function the model wants called."""

    name: str
    arguments: Mapping[str, object]


Beat = Thought | Text | FunctionCall


@dataclass(frozen=True)
class Script:
    """The beats of one answer in order and its ending."""

    beats: tuple[Beat, ...]
    finish: Finish = "stop"
    raw_finish: str | None = None
    """A finish reason to send as it is, instead of the dialect's word for `finish`."""
    grounding: Grounding | None = None

    @property
    def text(self) -> str:
        """The answer's text without thoughts."""
        return "".join(beat.text for beat in self.beats if isinstance(beat, Text))

    def first(self, count: int, finish: Finish) -> "Script":
        """The same script ended after `count` beats."""
        return replace(self, beats=self.beats[:count], finish=finish, grounding=None)


@dataclass(frozen=True)
class Style:
    """How a dialect's free choices are made (docs/wire.md §5.2, §5.3, §6.3)."""

    thoughts: Literal["tags", "bare tags", "reasoning_content", "reasoning", "silent"] = "tags"
    usage: Literal["every", "last", "separate", "early-partial", "none"] = "every"
    citations: Literal[
        "default",
        "grounding",
        "grounding in delta",
        "reasoning",
        "in text",
        "off by one",
        "no chunks",
        "none",
    ] = "default"


@dataclass
class Tally:
    """Tokens so far. `completion` leaves thinking out, `total` has it in."""

    prompt: int
    completion: int = 0
    thinking: int = 0

    @property
    def total(self) -> int:
        """All tokens of the call."""
        return self.prompt + self.completion + self.thinking

    @classmethod
    def before(cls, script: Script, style: Style, prompt: int) -> "Tally":
        """The tally before the first chunk: thinking that is not shown has already been paid for."""
        tally = cls(prompt)
        if style.thoughts == "silent":
            for beat in script.beats:
                if isinstance(beat, Thought):
                    tally.count(beat)
        return tally

    def count(self, beat: Beat) -> None:
        """Add a beat, one token a word."""
        match beat:
            case Thought(text):
                self.thinking += len(text.split())
            case Text(text):
                self.completion += len(text.split()) or 1
            case FunctionCall(arguments=arguments):
                self.completion += 5 + len(arguments)
