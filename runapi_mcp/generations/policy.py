"""What a tool has a say in while its generation runs: what follows an answer, what is said of the text."""

from collections.abc import Sequence
from typing import Final, Protocol

from runapi_mcp.wire.types import Answer, Call, JsonObject


class Course(Protocol):
    """The course that generations of one tool take. It keeps nothing of them: what it needs it is given."""

    async def judged(self, texts: Sequence[str], begin: str) -> JsonObject | None:
        """Return what the texts of all rounds so far come to; `begin` is what the oldest continues.

        Asked once a round, when it is over. The last verdict is kept for as long as the generation is:
        whoever reads its result finds it there.
        """

    def follow_up(
        self, answer: Answer, earlier: Sequence[str], verdict: JsonObject | None = None
    ) -> Call | None:
        """Return the next call of a generation, or `None` if `answer` was its last.

        `earlier` are the texts of the rounds before, oldest first; `verdict` is what :meth:`judged`
        returned of all of them.
        """

    def describe(self, text: str) -> str:
        """Return what the text so far amounts to, in a few words, for progress; may be empty.

        Asked at growing intervals, so it may read the whole text.
        """

    def hopeless(self, text: str) -> str:
        """Return why the text so far can no longer become right; empty while it can.

        A reason ends the round, which then counts as one to follow up. Asked at growing intervals.
        """

    def links(self, answer: Answer) -> Sequence[str]:
        """Return the links of an ended answer that are to be resolved; see :meth:`Upstream.redirects`."""


class Plain:
    """One call, whose answer is the answer: the course to begin with where little is different."""

    async def judged(self, texts: Sequence[str], begin: str) -> JsonObject | None:
        """Judge nothing."""

    def follow_up(
        self, answer: Answer, earlier: Sequence[str], verdict: JsonObject | None = None
    ) -> Call | None:
        """Ask for nothing more."""

    def describe(self, text: str) -> str:
        """Say nothing of the text."""
        return ""

    def hopeless(self, text: str) -> str:
        """Let every text go on."""
        return ""

    def links(self, answer: Answer) -> Sequence[str]:
        """Have no link resolved."""
        return ()


PLAIN: Final = Plain()


class Looks:
    """Looks at a text at lengths that grow by a quarter, so that all of them together cost little."""

    def __init__(self) -> None:
        self._next = 1

    def due(self, length: int) -> bool:
        """Whether a text of this length is to be looked at."""
        if length < self._next:
            return False
        self._next = max(length + 16, length + length // 4)
        return True
