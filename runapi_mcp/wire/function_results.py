"""What belongs to which call of a function.

Gemini pairs results with calls by place, not by id: Google's OpenAI layer takes results in another order
for each other's, or refuses them with a 400 that names nothing (wire notes §11 row 3). So they are put in
the order of the calls here, and what cannot be paired is told to whoever can mend it.
"""

from collections.abc import Sequence

from runapi_mcp.errors import InputError, one_line
from runapi_mcp.wire.types import FunctionCall, Returned


def pair_results(calls: Sequence[FunctionCall], results: Sequence[Returned]) -> tuple[Returned, ...]:
    """Return the results of a turn's calls in the order of the calls, each with its call's id and name.

    An id decides; a result without one goes to the first open call of its name, and so does one whose
    id is the host's own where the calls came without any.

    Raises:
        InputError: An id that no call has, one given twice, or a call or a result that is left over.
    """
    paired: dict[int, Returned] = {}
    for result in sorted(results, key=lambda result: not result.id):
        place = _place(calls, result, paired)
        paired[place] = Returned(calls[place].id, calls[place].name, result.content)
    if len(paired) < len(calls):
        missing = ", ".join(_label(call) for place, call in enumerate(calls) if place not in paired)
        raise InputError(
            f"the results of {one_line(missing, 200)} are missing.",
            advice='Give {"role": "function", "name": …, "id": …, "content": …} for each call.',
        )
    return tuple(paired[place] for place in range(len(calls)))


def _place(calls: Sequence[FunctionCall], result: Returned, paired: dict[int, Returned]) -> int:
    by_id = bool(result.id) and any(call.id for call in calls)
    for place, call in enumerate(calls):
        if place not in paired and (call.id == result.id if by_id else call.name == result.name):
            return place
    if not calls:
        raise InputError("a function's result, and no function was called.", advice="Leave it out.")
    still = ", ".join(_label(call) for place, call in enumerate(calls) if place not in paired)
    advice = f"Open are {one_line(still, 200)}." if still else "No call is open any more."
    if by_id and any(call.id == result.id for call in calls):
        raise InputError(f"two results have the id {one_line(result.id, 80)}.", advice=advice)
    what = f"has the id {one_line(result.id, 80)}" if by_id else f"of {one_line(result.name, 80)} is open"
    raise InputError(f"a function's result, and no call {what}.", advice=advice)


def _label(call: FunctionCall) -> str:
    return f"{call.name} ({call.id})" if call.id else call.name
