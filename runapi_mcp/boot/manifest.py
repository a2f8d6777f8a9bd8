"""Makes ``manifest.json``: asks the real server what the prologue will be asked.

``python -m runapi_mcp.boot.manifest`` writes the file; tests compare it with :func:`live`.
"""

import json
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import anyio

from runapi_mcp import __version__
from runapi_mcp.boot.answers import MODERN, Manifest, Message
from runapi_mcp.boot.prologue import MANIFEST
from runapi_mcp.server.app import build_server, open_app
from runapi_mcp.settings import Settings
from runapi_mcp.transports.stdio.serve import serve_chunks

HANDSHAKES: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
LISTS: Final = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
_META: Final = "io.modelcontextprotocol/"


async def live(settings: Settings) -> Manifest:
    """Return the real server's answers, for every revision."""
    manifest: Manifest = {revision: await _handshake(revision, settings) for revision in HANDSHAKES}
    manifest[MODERN] = await _modern(settings)
    return manifest


async def _handshake(revision: str, settings: Settings) -> dict[str, object]:
    client: Message = {"name": "manifest", "version": "1"}
    hello: Message = {"protocolVersion": revision, "capabilities": {}, "clientInfo": client}
    return await _ask({"initialize": hello} | {method: {} for method in ("ping", *LISTS)}, settings)


async def _modern(settings: Settings) -> dict[str, object]:
    envelope: Message = {f"{_META}protocolVersion": MODERN, f"{_META}clientCapabilities": {}}
    return await _ask({method: {"_meta": envelope} for method in ("server/discover", *LISTS)}, settings)


async def _ask(requests: dict[str, Message], settings: Settings) -> dict[str, object]:
    lines = [
        json.dumps({"jsonrpc": "2.0", "id": method, "method": method, "params": params})
        for method, params in requests.items()
    ]
    answers = {answer["id"]: answer["result"] for answer in await served("\n".join(lines).encode(), settings)}
    return {method: answers[method] for method in requests}


async def served(written: bytes, settings: Settings, answered: Collection[str | int] = ()) -> list[Message]:
    """Return what the real server answers a host that has written this and then closed its end."""
    with TemporaryFile() as file:
        async with open_app(settings) as app:
            await serve_chunks(
                build_server(app), [written], file.fileno(), answered=answered, owns_process=False
            )
        file.seek(0)
        return [json.loads(line) for line in file]


def dump(manifest: Manifest) -> str:
    """Return the file's text: a line for each answer."""
    revisions = ",\n".join(
        f" {json.dumps(revision)}: {{\n"
        + ",\n".join(f"  {json.dumps(method)}: {json.dumps(result)}" for method, result in answers.items())
        + "\n }"
        for revision, answers in manifest.items()
    )
    return f'{{"version": {json.dumps(__version__)},\n"answers": {{\n{revisions}\n}}}}\n'


def main() -> None:
    """Write the file."""
    Path(MANIFEST).write_text(dump(anyio.run(live, Settings())), encoding="utf-8")


if __name__ == "__main__":
    main()
