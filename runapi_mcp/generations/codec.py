"""Values of ours as JSON and back, so that another server of the same fleet can read them.

What a value cannot say in JSON (a tool's hooks, say) is left out, and has its default afterwards.
Fields that this version does not know are ignored: in a rolling update two versions share a store.
"""

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, Union, cast, get_args, get_origin

from runapi_mcp.errors import Interrupted, RunapiError, UpstreamError
from runapi_mcp.wire.types import JsonObject, JsonValue

T = TypeVar("T")


def dumped(value: JsonValue) -> str:
    """Return JSON text."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def plain(value: object) -> JsonValue:
    """Return a value as what JSON knows; callables are left out of the objects that hold them."""
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((f.name, getattr(value, f.name)) for f in fields(value))
        return {name: plain(part) for name, part in pairs if not callable(part)}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return cast("JsonValue", value)


def read(kind: type[T], value: JsonValue) -> T:
    """Return the `kind` that `value` was written from.

    Raises:
        ValueError: It was not written from one.
    """
    try:
        return cast("T", _built(kind, value))
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"no {kind.__name__}: {error}") from None


def written_error(error: RunapiError | None) -> JsonObject | None:
    """Return an error of ours as JSON."""
    if error is None:
        return None
    kept: JsonObject = {"code": error.code, "what": error.what, "advice": error.advice}
    if isinstance(error, UpstreamError):
        kept |= {"status": error.status, "request_id": error.request_id, "retry_after": error.retry_after}
    return kept


def read_error(kept: JsonValue) -> RunapiError | None:
    """Return the error that :func:`written_error` wrote; one of an unknown kind is a plain one."""
    if not isinstance(kept, dict):
        return None
    kind = _by_code(RunapiError).get(str(kept.get("code")), RunapiError)
    error = kind(str(kept.get("what")), advice=str(kept.get("advice")))
    if isinstance(error, UpstreamError):
        error.status = _number(kept.get("status"), int)
        error.request_id = cast("str | None", kept.get("request_id"))
        error.retry_after = _number(kept.get("retry_after"), float)
    return error


def with_partial(error: RunapiError | None, text: str) -> RunapiError | None:
    """Return the error with the text it interrupted."""
    if isinstance(error, Interrupted):
        error.partial = text
    return error


def _number(value: JsonValue, kind: Callable[[float], T]) -> T | None:
    return kind(value) if isinstance(value, int | float) else None


def _by_code(kind: type[RunapiError]) -> dict[str, type[RunapiError]]:
    found = {kind.code: kind}
    for below in kind.__subclasses__():
        # The class that gave itself the code, not one below that kept it.
        found = _by_code(below) | found
    return found


def _built(kind: Any, value: Any) -> Any:  # noqa: ANN401  # types are values here
    """Return `value` as a `kind`: dataclasses and tuples are built, all else is as JSON has it."""
    if is_dataclass(kind) and isinstance(kind, type):
        given = {f.name: _built(f.type, value[f.name]) for f in fields(kind) if f.name in value}
        return kind(**given)
    origin, args = get_origin(kind), get_args(kind)
    if origin is tuple and value is not None:
        inner = args[0]
        return tuple(_built(inner, part) for part in value)
    if origin in (Union, types.UnionType) and value is not None:
        return _built(_chosen(args, value), value)
    return value


def _chosen(kinds: tuple[Any, ...], value: Any) -> Any:  # noqa: ANN401  # types are values here
    """Return the member of a union that `value` was written from: dataclasses are told by their fields."""
    classes = [kind for kind in kinds if is_dataclass(kind)]
    if classes and isinstance(value, dict):
        return next((k for k in classes if {f.name for f in fields(k)} == value.keys()), classes[0])
    return next((kind for kind in kinds if get_origin(kind) is tuple), None)
