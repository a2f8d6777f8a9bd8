"""What Redis does not have all of yet, and how much of that goes in one write. Pure, as `batches` is."""

from collections import deque
from dataclasses import dataclass
from typing import Final, TypeAlias

from runapi_mcp.generations.fleet.batches import Batch, Written, due, next_batch
from runapi_mcp.generations.fleet.records import Facts, facts_written
from runapi_mcp.generations.generation import Generation

_MOST_AT_ONCE: Final = 1_048_576
"""Characters after which one write takes in no more generations: it has a second to get through."""
_STEP: Final = 2048
"""What a step counts for beside its characters: it costs Redis time, however small."""


@dataclass(slots=True)
class Held:
    """A generation that Redis does not have all of yet.

    Attributes:
        epoch: How often it was begun.
        written: How far it is written; `None` when it is to be begun, or begun anew.
    """

    generation: Generation
    name: str
    epoch: int = 0
    written: Written | None = None

    @property
    def due(self) -> bool:
        """Whether there is something to write."""
        return self.written is None or due(self.generation, self.written)

    @property
    def unfinished(self) -> bool:
        """Whether there is more to write at once."""
        return self.written is None or self.written.seen is None or self.written.more


Step: TypeAlias = tuple[Held, Batch | str]
"""What is written of one generation at once: its facts, where it is to be begun, or a batch."""


def next_steps(waiting: deque[Held]) -> list[Step]:
    """Take from those that wait what goes in one write: facts where one is to be begun, else a batch."""
    steps: list[Step] = []
    size = 0
    while waiting and size < _MOST_AT_ONCE:
        held = waiting.popleft()
        step = (
            facts_of(held.generation) if held.written is None else next_batch(held.generation, held.written)
        )
        size += _STEP + (len(step) if isinstance(step, str) else step.characters)
        steps.append((held, step))
    return steps


def facts_of(generation: Generation) -> str:
    """Return the facts of a generation, as they are written."""
    return facts_written(Facts(generation.job, generation.created))
