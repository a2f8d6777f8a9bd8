"""Which lines of a host can be answered from the manifest, and with what. Pure.

The SDK decides by a connection's first request which era it serves: ``initialize`` and everything
else without the envelope of 2026-07-28 is the handshake era, for good. So the first request is
always served again by the real server; of the later ones only ``initialize`` has an effect.
"""

import json
from typing import Final, TypeAlias

Message: TypeAlias = dict[str, object]
Manifest: TypeAlias = dict[str, dict[str, object]]
"""Revision → method → result."""

MODERN: Final = "2026-07-28"
LATEST_HANDSHAKE: Final = "2025-11-25"

_LONGEST: Final = 65_536
"""Bytes of a line that is looked at; what hosts say first is far shorter."""
_MOST_BYTES: Final = 32_768
"""Bytes of answers in all: what a pipe takes even if the host does not read yet."""
_INTERNAL_ERROR: Final = -32603
_PREFIX: Final = "io.modelcontextprotocol/"
_HANDSHAKE: Final = "handshake"
_LISTS: Final = frozenset({"tools/list", "prompts/list", "resources/list", "resources/templates/list"})
_LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

Shape: TypeAlias = "type | tuple[str, ...] | list[Shape] | dict[str, Shape]"
"""A type, one of some texts, a list of a shape, or an object: what its members must be if they are
there, "!" marking those that must be, and "*" every member."""

_OBJECTS: Final[Shape] = {"*": dict}
_TEXTS: Final[dict[str, Shape]] = dict.fromkeys(("title", "description", "websiteUrl"), str)
_ICON: Final[Shape] = {"src!": str, "mimeType": str, "sizes": [str], "theme": ("light", "dark")}
_CLIENT: Final[Shape] = {"name!": str, "version!": str, "icons": [_ICON], **_TEXTS}
_CAPABILITIES: Final[Shape] = {
    **dict.fromkeys(("sampling", "elicitation", "experimental", "extensions"), _OBJECTS),
    "roots": {"listChanged": bool},
    "tasks": {"*": {"*": _OBJECTS}},
}
_HELLO: Final[Shape] = {"protocolVersion!": str, "capabilities!": _CAPABILITIES, "clientInfo!": _CLIENT}
_ENVELOPE: Final[Shape] = {
    "protocolVersion!": (MODERN,),
    "clientCapabilities!": _CAPABILITIES,
    "clientInfo": _CLIENT,
    "logLevel": _LEVELS,
}


class Answers:
    """One connection's beginning.

    Attributes:
        held: The lines that the real server must see, in order, each with its newline.
        answered: The ids of the requests among them that were answered here.
        waiting: How many requests, or lines that may be one, wait for the real server.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.held: list[bytes] = []
        self.answered: list[str | int] = []
        self.waiting = 0
        self._manifest = manifest
        self._revision: str | None = None
        self._sure = True
        self._written = 0

    def answer(self, line: bytes) -> bytes:
        """Take the next line, without its newline; return the answer to it, or nothing."""
        if not line.strip():
            return b""
        message = _read(line) if self._sure else None
        if message is None:
            self._sure = False
        elif "id" not in message:
            return self._hold(line)
        elif answer := self._write_answer(message, line):
            return answer
        self.waiting += 1
        return self._hold(line) + self._sign_of_life(message)

    def refuse(self, why: str) -> bytes:
        """Return an error to each request that waits, for there will be no server."""
        waiting = [message for line in self.held if (message := _read(line)) and "id" in message]
        errors = [
            {"jsonrpc": "2.0", "id": request["id"], "error": {"code": _INTERNAL_ERROR, "message": why}}
            for request in waiting
            if request["id"] not in self.answered
        ]
        return b"".join(map(_dump, errors))

    def _sign_of_life(self, request: Message | None) -> bytes:
        """Return the first progress of a call that waits for the import, if its host asked for any.

        It says 0 s; what the server reports later is more.
        """
        match request:
            case {"method": "tools/call", "params": {"_meta": {"progressToken": token}}} if _sound_id(token):
                params = {"progressToken": token, "progress": 0, "message": "starting"}
                line = _dump({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
            case _:
                return b""
        self._written += len(line)
        return line if self._revision is not None and self._written <= _MOST_BYTES else b""

    def _hold(self, line: bytes) -> bytes:
        self.held.append(line + b"\n")
        return b""

    def _write_answer(self, request: Message, line: bytes) -> bytes:
        first, revision = self._revision is None, self._revision_for(request)
        method, request_id = request["method"], request["id"]
        result = self._manifest.get(revision or "", {}).get(str(method))
        if result is None or not isinstance(request_id, str | int):
            return b""
        answer = _dump({"jsonrpc": "2.0", "id": request_id, "result": result})
        if self._written + len(answer) > _MOST_BYTES:
            self._sure = self._sure and method != "initialize"
            return b""
        self._written += len(answer)
        if method == "initialize" and revision:
            # The server must settle on what the host was told, whatever revisions its SDK knows.
            self._revision, line = revision, _write_offer(request, revision)
        if first or method == "initialize":
            self.answered.append(request_id)
            self._hold(line.rstrip(b"\n"))
        return answer

    def _revision_for(self, request: Message) -> str | None:
        """Return the revision in which the manifest answers the request; `None` if it does not."""
        method, params = request["method"], request.get("params")
        enveloped = _has_envelope(params)
        if self._revision is None:
            self._revision = MODERN if enveloped and method != "initialize" else _HANDSHAKE
        if self._revision == MODERN:
            return MODERN if enveloped and _modern(params) else None
        if method == "initialize":
            return self._choose_revision(params)
        if method == "ping":
            return LATEST_HANDSHAKE if not enveloped and _plain(params) else None
        return self._revision if not enveloped and method in _LISTS and _plain(params) else None

    def _choose_revision(self, params: object) -> str | None:
        """Return the revision that answers a handshake; what is odd about it waits, and all after it."""
        if self._revision == _HANDSHAKE and isinstance(params, dict) and _handshake(params):
            asked = str(params["protocolVersion"])
            return asked if asked in self._manifest and asked != MODERN else LATEST_HANDSHAKE
        self._sure = False
        return None


def _read(line: bytes) -> Message | None:
    """Return a request or a notification that is beyond doubt, or `None`."""
    if len(line) > _LONGEST:
        return None
    try:
        message = json.loads(line.decode(), parse_constant=_no_constant)
        _dump(message)  # half of a surrogate pair, which the server repairs, cannot be written
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or not message.keys() <= {"jsonrpc", "id", "method", "params"}:
        return None
    sound = message.get("jsonrpc") == "2.0" and type(message.get("method")) is str
    params = type(message.get("params", {})) is dict
    return message if sound and params and _sound_id(message.get("id", 0)) else None


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _sound_id(value: object) -> bool:
    # No number beyond what JavaScript tells apart: it would come back as another one.
    return type(value) is str or (type(value) is int and abs(value) < 2**53)


def _has_envelope(params: object) -> bool:
    match params:
        case {"_meta": dict(meta)}:
            return _PREFIX + "protocolVersion" in meta
        case _:
            return False


def _modern(params: object) -> bool:
    """Whether `params` is nothing but a sound envelope of 2026-07-28."""
    match params:
        case {"_meta": dict(meta), **rest} if not rest:
            own = {key.removeprefix(_PREFIX): meta[key] for key in meta if key.startswith(_PREFIX)}
            known = own.keys() <= {"protocolVersion", "clientCapabilities", "clientInfo", "logLevel"}
            return known and _fits(own, _ENVELOPE) and _sound_token(meta)
        case _:
            return False


def _handshake(params: dict[str, object]) -> bool:
    known = params.keys() <= {"protocolVersion", "capabilities", "clientInfo", "_meta"}
    return known and _fits(params, _HELLO) and _plain({k: params[k] for k in params if k == "_meta"})


def _plain(params: object) -> bool:
    """Whether `params` asks for nothing in particular: no cursor, no envelope."""
    match params:
        case {"_meta": dict(meta), **rest} if not rest:
            return _sound_token(meta) and not any(key.startswith(_PREFIX) for key in meta)
        case _:
            return params is None or params == {}


def _sound_token(meta: dict[str, object]) -> bool:
    return _sound_id(meta.get("progressToken", 0))


def _fits(value: object, shape: Shape) -> bool:
    match shape:
        case tuple():
            return value in shape
        case [item]:
            return isinstance(value, list) and all(_fits(each, item) for each in value)
        case {"*": each}:
            return isinstance(value, dict) and all(_fits(member, each) for member in value.values())
        case dict():
            return isinstance(value, dict) and all(
                _has(value, name, member) for name, member in shape.items()
            )
        case _:
            return type(value) is shape


def _has(value: Message, name: str, shape: Shape) -> bool:
    key = name.rstrip("!")
    return _fits(value[key], shape) if key in value else key == name


def _write_offer(request: Message, revision: str) -> bytes:
    params = request["params"]
    assert isinstance(params, dict), "a handshake was recognised by its parameters"
    return _dump(request | {"params": params | {"protocolVersion": revision}})


def _dump(message: Message) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
