"""The table every scenario writes itself into."""

from collections.abc import Callable
from dataclasses import dataclass, field

from runapi_mcp.sim.asked import Dialect
from runapi_mcp.sim.play import Play
from runapi_mcp.sim.scene import Scene

Player = Callable[[Scene], Play]

COMMON = ("pace", "words", "text")
"""Parameters every scenario takes: seconds between chunks, length of the answer, the answer itself."""


@dataclass(frozen=True)
class Scenario:
    """Something the simulated RunAPI can do."""

    name: str
    summary: str
    """One line for people choosing one."""
    dialects: tuple[Dialect, ...]
    params: tuple[str, ...] = ()
    """Parameters beside `COMMON` that it takes."""
    play: Player = field(repr=False, default=lambda scene: scene.tell())


TABLE: dict[str, Scenario] = {}


def scenario(
    name: str, summary: str, *params: str, only: Dialect | None = None
) -> Callable[[Player], Player]:
    """Enter a player into the table under a name, for one dialect only or for both."""

    def enter(play: Player) -> Player:
        TABLE[name] = Scenario(name, summary, (only,) if only else ("chat", "native"), params, play)
        return play

    return enter
