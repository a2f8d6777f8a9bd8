"""What is written of a generation and read elsewhere: each record in one format, for both ways. Pure."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from runapi_mcp.errors import Interrupted, RunapiError, UpstreamError
from runapi_mcp.generations.generation import Generation
from runapi_mcp.generations.values import Evidence, Job, Receipt, Status, View
from runapi_mcp.wire.types import Answer, JsonObject

T = TypeVar("T")


def digest(*parts: str) -> str:
    """Return what only who knows all parts can make, and that tells none of them."""
    framed = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(framed.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Fault:
    """An error of ours, as it is written."""

    code: str
    what: str
    advice: str
    status: int | None = None
    request_id: str | None = None
    retry_after: float | None = None

    @classmethod
    def of(cls, error: RunapiError) -> "Fault":
        """Return what is written of an error."""
        said = (error.code, error.what, error.advice)
        if not isinstance(error, UpstreamError):
            return cls(*said)
        return cls(*said, error.status, error.request_id, error.retry_after)

    def error(self, partial: str = "") -> RunapiError:
        """Return the error with the text that it interrupted; one of an unknown kind is a plain one."""
        error = _by_code(RunapiError).get(self.code, RunapiError)(self.what, advice=self.advice)
        if isinstance(error, UpstreamError):
            error.status, error.request_id = self.status, self.request_id
            error.retry_after = self.retry_after
        if isinstance(error, Interrupted):
            error.partial = partial
        return error


def _by_code(kind: type[RunapiError]) -> dict[str, type[RunapiError]]:
    found = {kind.code: kind}
    for below in kind.__subclasses__():
        # The class that gave itself the code, not one below that kept it.
        found = _by_code(below) | found
    return found


@dataclass(frozen=True, slots=True)
class Facts:
    """What does not change about a generation: what was asked, and when."""

    job: Job
    created: datetime

    @classmethod
    def of(cls, generation: Generation) -> "Facts":
        """Return what is written of a generation: no contents of files that can be read again.

        The owner is left out too: who that is is part of the name, and nobody's business.
        """
        return cls(replace(generation.job.without_files(), owner=""), generation.created)


@dataclass(frozen=True, slots=True)
class Stand:
    """How a generation stands, or what it came to; its text apart, of which only the length is said.

    Attributes:
        answer: While it runs, its model alone.
        updated: When its status last changed, by the wall clock.
        characters: Length of the answer's text, which may be more than is shared; 0 while it runs.
    """

    status: Status
    evidence: Evidence
    receipt: Receipt
    answer: Answer
    notices: tuple[str, ...]
    leaving: bool
    updated: datetime
    characters: int
    error: Fault | None
    links: Mapping[str, str]
    hopeless: str
    verdict: JsonObject | None

    @classmethod
    def of(cls, view: View, generation: Generation, *, over: bool) -> "Stand":
        """Return how a generation stands: it is `over` once all of its text is told."""
        status: Status = view.status if over else "running"
        answer = replace(view.answer, text="", thoughts="") if over else Answer(model=view.answer.model)
        characters, error = len(view.answer.text) if over else 0, view.error if over else None
        signs = (generation.evidence(), view.receipt, answer, view.job.notices, generation.leaving)
        came_to = (Fault.of(error) if error else None, view.links, view.hopeless, view.verdict)
        return cls(status, *signs, generation.updated, characters, *came_to)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401  # types are values here
    """Return what reads a kind; made when one is needed, for a host waits for the start."""
    return TypeAdapter(kind)


def prepare() -> None:
    """Make what reads records: that takes as long as to read a long answer."""
    for kind in (Facts, Stand):
        _adapter(kind)


def write(record: object) -> str:
    """Return a record as JSON text."""
    with suppress(PydanticSerializationError):
        return to_json(record).decode()
    # JSON can hold half a surrogate pair, and UTF-8 cannot.
    return json.dumps(to_jsonable_python(record), ensure_ascii=False, separators=(",", ":"))


def read(kind: Callable[..., T], text: str) -> T:
    """Return the `kind` that was written.

    Raises:
        ValueError: It is not what this version writes.
    """
    try:
        # Not `validate_json`: see above.
        said: Any = json.loads(text)
    except RecursionError:
        raise ValueError("it is too deep") from None
    record: T = _adapter(kind).validate_python(said)
    return record
