"""Several servers as one: what each of them runs can be found, followed and stopped from all.

Redis (or Valkey) is the store, one primary, not a cluster. It needs the extra ``runapi-mcp[redis]``.
No key of RunAPI goes there, and no principal's name; questions and answers do, until they expire.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from runapi_mcp.generations.fleet.link import Link
from runapi_mcp.generations.fleet.sharing import FleetDayCounts, FleetPacing
from runapi_mcp.generations.fleet.store import FleetStore
from runapi_mcp.settings import Settings

__all__ = ["Fleet", "join_fleet"]


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the servers of a fleet share."""

    store: FleetStore
    pacing: FleetPacing
    counts: FleetDayCounts


def join_fleet(settings: Settings, clock: Callable[[], float]) -> Fleet:
    """Return what this server shares with the others at `settings.store`."""
    assert settings.store is not None, "a fleet meets at a store"
    link, server = Link(settings.store, clock), secrets.token_hex(8)
    counts = FleetDayCounts(link, server, clock=clock)
    store = FleetStore(link, server, settings, clock, beside=counts.forever, leaving=counts.share)
    return Fleet(store, FleetPacing(link, clock), counts)
