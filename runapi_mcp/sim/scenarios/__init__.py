"""All scenarios by name."""

from collections.abc import Mapping
from types import MappingProxyType

from runapi_mcp.sim.cues import Cue
from runapi_mcp.sim.scenarios import (
    answers,
    bodies,
    endings,
    framing,
    json_answers,
    limits,
    relays,
    research,
    streams,
)
from runapi_mcp.sim.scenarios._registry import COMMON, TABLE, Scenario

__all__ = ["SCENARIOS", "Scenario", "chosen"]

_GROUPS = (answers, json_answers, research, bodies, limits, streams, endings, framing, relays)
"""The modules whose import fills the table, in the order it is printed."""

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(TABLE)


def chosen(text: str | Cue) -> tuple[Scenario, Cue]:
    """The scenario and parameters that `NAME key=value …` names.

    Raises:
        ValueError: No such scenario or parameter.
    """
    cue = Cue.parse(text) if isinstance(text, str) else text
    known = SCENARIOS.get(cue.name)
    if known is None:
        raise ValueError(f"no scenario {cue.name!r}; there are: {', '.join(SCENARIOS)}")
    for key in cue.params:
        if key not in (*COMMON, *known.params):
            raise ValueError(
                f"{cue.name} has no parameter {key!r}; it takes {', '.join((*COMMON, *known.params))}"
            )
    return known, cue
