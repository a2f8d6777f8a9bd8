"""Turn an invoice into JSON that conforms to a schema, with a handle if it takes too long.

Run it with RUNAPI_TOKEN set, or against `runapi-mcp sim` as that command prints. The simulator
understands nothing: it takes over what stands in the text as `name: value`, and makes the rest up.
"""

import json
import os
import sys

import anyio
from mcp import Client, StdioServerParameters

SERVER = StdioServerParameters(command=sys.executable, args=["-m", "runapi_mcp"], env=dict(os.environ))
INVOICE = "Invoice 2026-117. To: Northwind Ltd, name: Ada Example. Total: 129.50 EUR. Due: 2026-12-01."
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "total": {"type": "number"},
        "currency": {"enum": ["EUR", "USD"]},
        "due": {"type": "string", "format": "date"},
    },
    "required": ["name", "total", "currency", "due"],
}


async def main() -> None:
    async with Client(SERVER) as client:
        result = await client.call_tool("extract_json", {"schema": SCHEMA, "text": INVOICE})
        facts = result.structured_content
        while facts["status"] == "running":
            result = await client.call_tool("get_result", {"handle": facts["handle"]})
            facts = result.structured_content
    assert not result.is_error, facts
    assert set(facts["data"]) >= {"name", "total", "currency", "due"}
    assert facts["data"]["due"] == "2026-12-01"
    print(json.dumps(facts["data"], indent=2))


if __name__ == "__main__":
    if not os.environ.get("RUNAPI_TOKEN"):
        sys.exit("Set RUNAPI_TOKEN, or start `runapi-mcp sim` and set what it prints.")
    anyio.run(main)
