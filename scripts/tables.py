"""Write the README's generated tables: ``python scripts/tables.py`` (``--check`` only compares)."""

import sys
from pathlib import Path

from runapi_mcp.server.listing import input_schema
from runapi_mcp.settings import KEY_NAMES, options
from runapi_mcp.tools import TOOLS

README = Path(__file__).parent.parent / "README.md"


def tools_table() -> str:
    rows = ["| Tool | What it does | Arguments |", "|---|---|---|"]
    for tool in TOOLS.values():
        schema = input_schema(tool.args)
        properties, required = schema.get("properties", {}), schema.get("required", [])
        assert isinstance(properties, dict)
        assert isinstance(required, list)
        names = ", ".join(f"`{name}`" if name in required else f"`{name}?`" for name in properties) or "none"
        rows.append(f"| `{tool.name}` | {tool.description} | {names} |")
    return "\n".join(rows)


def settings_table() -> str:
    rows = ["| Variable | Flag | Default | What it sets |", "|---|---|---|---|"]
    rows.append(f"| `{KEY_NAMES[0]}` (or `{KEY_NAMES[1]}`) | | | Your RunAPI key. |")
    for option in options():
        default = ", ".join(option.default) if isinstance(option.default, tuple) else str(option.default)
        rows.append(f"| `{option.env}` | `{option.flag}` | {default} | {option.about} |")
    rows.append("| `MAX_MCP_OUTPUT_TOKENS` | | | The host's own limit; lowers the page size. |")
    return "\n".join(rows)


def written(readme: str) -> str:
    for name, table in (("tools", tools_table()), ("settings", settings_table())):
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        head, _, rest = readme.partition(begin)
        _, _, tail = rest.partition(end)
        readme = f"{head}{begin}\n\n{table}\n\n{end}{tail}"
    return readme


def main() -> int:
    before = README.read_text(encoding="utf-8")
    after = written(before)
    if "--check" in sys.argv:
        return int(before != after)
    README.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
