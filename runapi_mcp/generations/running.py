"""Running the rounds of a generation: asking, reading, following up, until there is nothing to follow."""

from collections.abc import AsyncGenerator, Callable

from runapi_mcp.errors import Interrupted, RunapiError
from runapi_mcp.generations.ended import Ended, ended
from runapi_mcp.generations.line import Ask
from runapi_mcp.generations.rounds import Rounds
from runapi_mcp.wire.types import Answer, Call, Event


async def end_of(
    rounds: Rounds, ask: Ask, *, fed: Callable[[], None], whole: Callable[[Ended], object]
) -> Ended:
    """Go through all rounds and return what they came to.

    Args:
        rounds: The rounds of a generation, none of them begun.
        ask: Opens the stream that answers a call.
        fed: Called after each event.
        whole: Called with the end as soon as it is certain; the connections' farewells come after it.
    """
    try:
        await _all(rounds, ask, fed, whole)
        return ended(rounds)
    except RunapiError as error:
        await rounds.judge()
        return ended(rounds, error)


async def _all(rounds: Rounds, ask: Ask, fed: Callable[[], None], whole: Callable[[Ended], object]) -> None:
    call: Call | None = rounds.first_call
    while call is not None:
        async with ask(call) as events:
            answer = await _one(rounds, events, fed)
            await rounds.judge()
            call = rounds.follow_up(answer)
            if call is None and not rounds.hopeless and not rounds.links():
                whole(ended(rounds))
        if call is not None:
            rounds.next()
    if rounds.hopeless:
        raise Interrupted(f"The answer was stopped early: {rounds.hopeless}.")


async def _one(rounds: Rounds, events: AsyncGenerator[Event, None], fed: Callable[[], None]) -> Answer:
    """Read one round's events, as long as there is hope, and return its answer."""
    async for event in events:
        rounds.feed(event)
        fed()
        if rounds.hopeless:
            break
    return rounds.answer()
