"""What a request asks for, whichever dialect it came in; and the refusal of one that is malformed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Dialect = Literal["chat", "native"]
JsonObject = dict[str, object]

_MARKER = re.compile(r"\s*\[\[sim:[^\]]*\]\]\s*")


class Refused(Exception):
    """The request is answered with an error instead of being played."""

    def __init__(self, status: int, message: str, *, code: str | None = None, wrapped: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.wrapped = wrapped
        """Whether the body is the one-element array of Google's OpenAI layer (docs/wire.md §3.2 f)."""


@dataclass(frozen=True)
class Turn:
    """One message: who speaks, its text, how many media parts came along."""

    role: Literal["user", "model", "tool"]
    text: str
    media: int = 0


@dataclass(frozen=True)
class Function:
    """A declared function: its name and the JSON Schema of its arguments."""

    name: str
    parameters: Mapping[str, object]


@dataclass(frozen=True)
class Asked:
    """One generation request, freed of its dialect."""

    dialect: Dialect
    model: str
    turns: tuple[Turn, ...]
    system: str = ""
    schema: Mapping[str, object] | None = None
    json_wanted: bool = False
    search: bool = False
    functions: tuple[Function, ...] = ()
    thoughts: bool = False
    """Thinking is to be shown."""
    effort: str | None = None
    include_usage: bool = True
    max_tokens: int | None = None
    framed: bool = True
    """Server-sent events; otherwise one JSON body."""

    @property
    def marked_question(self) -> str:
        """The first user text as it came, markers and all."""
        return next((turn.text for turn in self.turns if turn.role == "user"), "")

    @property
    def question(self) -> str:
        """The first user text without `[[sim:…]]` markers."""
        return _MARKER.sub(" ", self.marked_question).strip()

    @property
    def last_user_text(self) -> str:
        """The last user text, where a marker is looked for."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user"), "")

    @property
    def partial(self) -> str:
        """What the model is shown to have said last, empty when it has said nothing."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "model"), "")

    @property
    def prompt_tokens(self) -> int:
        """A plausible size of the prompt: a quarter of its characters, 258 for each media part."""
        text = len(self.system) + sum(len(turn.text) for turn in self.turns)
        return 1 + text // 4 + 258 * sum(turn.media for turn in self.turns)
