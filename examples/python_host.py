"""A Python program as the host: ask, watch the progress, fetch what takes longer, read the receipt.

Run it with RUNAPI_TOKEN set, or against `runapi-mcp sim` as that command prints.
"""

import os
import sys

import anyio
from mcp import Client, StdioServerParameters

SERVER = StdioServerParameters(command=sys.executable, args=["-m", "runapi_mcp"], env=dict(os.environ))


async def show(progress: float, total: float | None, message: str | None) -> None:
    del total  # never invented
    print(f"{progress:6.2f} s  {message}", file=sys.stderr)


async def main() -> None:
    async with Client(SERVER) as client:
        result = await client.call_tool(
            "ask_gemini", {"prompt": "Name one good reason to stream."}, progress_callback=show
        )
        while (receipt := (result.meta or {}).get("ai.runapi/receipt", {})).get("status") == "running":
            print(f"(not done yet; asking again for {receipt['handle']})", file=sys.stderr)
            result = await client.call_tool(
                "get_result", {"handle": receipt["handle"]}, progress_callback=show
            )
    assert not result.is_error, result.content
    print("\n\n".join(block.text for block in result.content if block.type == "text"))
    assert receipt["complete"]
    print(f"[{receipt['model']}, {receipt['seconds']} s, tokens {receipt['tokens']}]", file=sys.stderr)


if __name__ == "__main__":
    if not os.environ.get("RUNAPI_TOKEN"):
        sys.exit("Set RUNAPI_TOKEN, or start `runapi-mcp sim` and set what it prints.")
    anyio.run(main)
