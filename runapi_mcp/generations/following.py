"""What a request needs of a generation, whichever server runs it."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from runapi_mcp.generations.values import Evidence, Job, Status, View


class Followable(Protocol):
    """A generation that can be followed, left, stopped and read.

    Reading is free: :meth:`view` and :meth:`evidence` give what is known here and wait for nothing.
    """

    @property
    def handle(self) -> str:
        """What its caller holds."""

    @property
    def job(self) -> Job:
        """What was asked."""

    @property
    def status(self) -> Status:
        """How it stands."""

    @property
    def created(self) -> datetime:
        """When it began, by the wall clock."""

    @property
    def updated(self) -> datetime:
        """When its status last changed, by the wall clock."""

    @property
    def delivered(self) -> bool:
        """Whether its ended answer was given to a caller."""

    def view(self) -> View:
        """Return it as it stands."""

    def evidence(self) -> Evidence:
        """Return the signs of life."""

    async def changed(self) -> None:
        """Wait for the next change of phase, or the end."""

    def followed(self) -> AbstractAsyncContextManager[None]:
        """Follow it for as long as the block lasts."""

    async def deliver(self) -> None:
        """Note that its ended answer was given to a caller."""

    async def stop(self) -> None:
        """Cancel it and wait until it has ended; does nothing once it has."""
