"""Where the time of a chunk in a burst goes: what is taken away from the whole is what nobody can spare."""

import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Final

from httpx_sse import EventSource
from pydantic import SecretStr

from benchmarks.chunks import PEERS, read, whole_server
from benchmarks.table import Row, Section, median
from benchmarks.upstream import Script, chunk
from runapi_mcp.models import DialectName
from runapi_mcp.upstream.redact import Redacting, redact
from runapi_mcp.wire.chat import ChatChunk
from runapi_mcp.wire.dialects import dialects
from runapi_mcp.wire.fold import Fold, join_texts
from runapi_mcp.wire.gemini import NativeChunk
from runapi_mcp.wire.lax import Lax, read_documents
from runapi_mcp.wire.types import Event, Frame

_LOT: Final = 32
"""Chunks that are parsed together, as in a burst."""
_TIMES: Final = 1_000
_KEY: Final = SecretStr("simulated-key")
_MODELS: Final[Mapping[DialectName, type[Lax]]] = {"chat": ChatChunk, "native": NativeChunk}


def section(base: str, *, quick: bool) -> Section:
    made = Section("A chunk in a burst, part by part, µs of CPU", peers=PEERS[:2])
    rounds = 1 if quick else 3
    both = [_parts(base, dialect, rounds) for dialect in _MODELS]
    for what in both[0]:
        made.rows.append(Row(what, f"{both[0][what]:.1f}", [("native", f"{both[1][what]:.1f}")]))
    made.notes.append(
        "“Ours” is chat. Joined 64, as above. Each part is timed alone, warm, and the best counts; reading, "
        "what cuts and hands on, and what the whole server adds are differences of whole readers."
    )
    return made


def _parts(base: str, dialect: DialectName, rounds: int) -> dict[str, float]:
    script = Script(chunks=20_000)

    def cpu(name: str) -> float:
        return median(read(name, base, script).cpu for _ in range(rounds)) / script.chunks * 1e6

    octets, httpx, ours = cpu("bytes"), cpu("httpx"), cpu(f"ours, {dialect}")
    server = median(whole_server(base, script, dialect) for _ in range(rounds)) / script.chunks * 1e6
    text = chunk(dialect, "word ", 5, last=False).decode()
    lot, document = text * _LOT, text.removeprefix("data: ").strip()
    decoder = dialects("/v1beta/openai")[dialect].decoder()
    found: list[Event] = []
    for _ in range(_LOT):
        found = [*found, *decoder.decode(Frame(document))]
    redacting, fold = Redacting(_KEY), Fold()

    def parse() -> object:
        response: Any = SimpleNamespace(
            headers={"content-type": "text/event-stream"}, iter_text=(lot,).__iter__
        )
        return [*EventSource(response).iter_sse()]

    def add() -> None:
        redact(lot, _KEY)
        fold.feed(*redacting.feed(join_texts(found)))

    validate = _time(lambda: read_documents(_MODELS[dialect], document))
    parts = {
        "the system and the loop": octets,
        "httpx and h11": httpx - octets,
        "httpx-sse": _time(parse) / _LOT,
        "pydantic: the chunk validated": validate,
        "its events": _time(lambda: decoder.decode(Frame(document))) - validate,
        "the key taken out, joined, added": _time(add) / _LOT,
    }
    parts["cut into events, handed on"] = ours - sum(parts.values())
    parts["kept, followed, answered by MCP"] = server - ours
    return {**parts, "together": server}


def _time(run: Callable[[], object]) -> float:
    """Return the microseconds that a run takes at best."""
    best = float("inf")
    for _ in range(20):
        began = time.perf_counter()
        for _ in range(_TIMES // 20):
            run()
        best = min(best, (time.perf_counter() - began) / (_TIMES // 20))
    return best * 1e6
