"""Where a check is made: at once, if it is certain to be short, else in a process that can be stopped."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

from runapi_mcp.errors import InputError
from runapi_mcp.extraction.allowance import Allowance, TooDear
from runapi_mcp.extraction.elsewhere import Found, found_elsewhere
from runapi_mcp.extraction.exact import written
from runapi_mcp.extraction.extent import Extent, extent_of
from runapi_mcp.extraction.judge import Judge, check_schema
from runapi_mcp.extraction.verdict import Verdict, judged, verdict_of
from runapi_mcp.wire.schema import Rewritten
from runapi_mcp.wire.types import DialectName, JsonObject

MOST_CHARACTERS: Final = 50_000
"""Characters of answers that are read on the event loop, in all; it takes a few milliseconds."""
_NOT_HERE: Final = "that would have taken too long while others wait"


@dataclass(frozen=True)
class Check:
    """What answers are checked by.

    Attributes:
        schema: The caller's schema.
        many: Whether a list of such values is wanted.
    """

    schema: JsonObject
    many: bool

    def at_once(self, texts: Sequence[str], begin: str) -> Verdict:
        """Return the verdict on the texts of all rounds, oldest first; `begin` is what the first continues.

        What takes too long for the event loop is told as not checked.
        """
        return self._at_once(texts, begin) or Verdict("", unchecked=_NOT_HERE)

    async def verdict(self, texts: Sequence[str], begin: str) -> Verdict:
        """Return the same, however long it takes; what takes too long even so is told as not checked."""
        verdict = self._at_once(texts, begin)
        if verdict is not None:
            return verdict
        about: JsonObject = {"texts": list(texts), "begin": begin, "many": self.many}
        found = await found_elsewhere({"schema": written(self.schema, indent=0), **about})
        if refused := _refused(found):
            return Verdict("", unchecked=refused.what)
        verdict = verdict_of(found.answers[-1]) if found.answers else Verdict("")
        return replace(verdict, unchecked=found.why)

    def _at_once(self, texts: Sequence[str], begin: str) -> Verdict | None:
        if sum(map(len, texts)) > MOST_CHARACTERS:
            return None
        try:
            if not _extent(self.schema).is_at_most(400, 4_000, 60, 40_000):
                return None
            return judged(Judge(self.schema, Allowance()), texts, begin, many=self.many)
        except TooDear:
            return None
        except InputError as refused:
            # A reference without end is found out only by following it.
            return Verdict("", unchecked=refused.what)

    async def rewritten(self, dialect: DialectName) -> Rewritten | None:
        """Return the schema for the wire if it takes another process to make it; it was checked, too.

        Raises:
            InputError: It is no schema that answers can be judged by, or too intricate to be checked.
        """
        if _extent(self.schema).is_at_most(100, 1_000, 20, 10_000):
            check_schema(self.schema)
            return None
        found = await found_elsewhere({"schema": written(self.schema, indent=0), "dialect": dialect})
        if refused := _refused(found):
            raise refused
        if found.why:
            raise InputError(
                f"schema: it could not be checked: {found.why}.",
                advice="Make it smaller: fewer subschemas, references and regular expressions.",
            )
        made = found.answers[-1]
        return Rewritten(cast("JsonObject", made["schema"]), tuple(cast("list[str]", made["checked_here"])))


def _extent(schema: JsonObject) -> Extent:
    try:
        return extent_of(schema)
    except RecursionError:
        raise InputError("schema: nested too deeply.") from None


def _refused(found: Found) -> InputError | None:
    """Return what is wrong with the schema, if that is the answer."""
    last = found.answers[-1] if found.answers else {}
    return InputError(str(last["refused"]), advice=str(last["advice"])) if "refused" in last else None
