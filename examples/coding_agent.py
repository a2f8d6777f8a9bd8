"""A coding agent that looks up what it does not know, and does not trust an answer without sources.

Run it with RUNAPI_TOKEN set, or against `runapi-mcp sim` as that command prints.
"""

import os
import sys
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

SERVER = StdioServerParameters(command=sys.executable, args=["-m", "runapi_mcp"], env=dict(os.environ))
FAILURE = "AttributeError: module 'example_parser' has no attribute 'parse_file'"


async def look_up(client: Client, question: str) -> dict[str, Any]:
    """Search, and wait for as long as it takes: a handle is not an answer."""
    result = await client.call_tool("search_web", {"query": question, "depth": "quick", "max_sources": 5})
    while (found := result.structured_content or {}).get("status") == "running":
        result = await client.call_tool("get_result", {"handle": found["handle"]})
    assert not result.is_error, result.content
    return found


async def main() -> None:
    question = f"In which release did this appear, and what replaces it? {FAILURE}"
    async with Client(SERVER) as client:
        found = await look_up(client, question)
    if found["answer_grounded"] is False:
        print("No source came back: read the changelog instead of trusting this.")
        return
    print(found["answer"], "\n")
    for source in found["sources"]:
        print(f"[{source['number']}] {source['title']} {source['url']}")
    # What rests on no source is a guess, and goes into the code only once it was checked.
    for sentence in found["uncited_sentences"]:
        print(f"To check: {sentence}")
    assert found["sources"]


if __name__ == "__main__":
    if not os.environ.get("RUNAPI_TOKEN"):
        sys.exit("Set RUNAPI_TOKEN, or start `runapi-mcp sim` and set what it prints.")
    anyio.run(main)
