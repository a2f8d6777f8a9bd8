"""Write the tables of tools and settings: ``python scripts/tables.py`` (``--check`` only compares)."""

import sys
from pathlib import Path

from parts import Parts, written

from runapi_mcp.server.app import input_schema
from runapi_mcp.settings import KEY_NAMES, Option, options
from runapi_mcp.tools import TOOLS

ROOT = Path(__file__).parent.parent
README, SETTINGS = ROOT / "README.md", ROOT / "docs" / "settings.md"
OFTEN = ("RUNAPI_MCP_MODEL", "RUNAPI_MCP_SEARCH_MODEL", "RUNAPI_MCP_HOLD", "RUNAPI_MCP_ALLOW_DIR")
"""The settings that people set, beside the key; all of them are on the page of settings."""
_HEAD = "| Variable | Flag | Default | What it sets |\n|---|---|---|---|"
_KEY = f"| `{KEY_NAMES[0]}` (or `{KEY_NAMES[1]}`) | | | Your RunAPI key. |"
_HOST = "| `MAX_MCP_OUTPUT_TOKENS` | | | The host's own limit; lowers the page size. |"


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


def often_table() -> str:
    by_name = {option.env: option for option in options()}
    return "\n".join([_HEAD, _KEY, *(_row(by_name[name]) for name in OFTEN)])


def settings_table() -> str:
    return "\n".join([_HEAD, _KEY, *map(_row, options()), _HOST])


def _row(option: Option) -> str:
    return f"| `{option.env}` | `{option.flag}` | {option.default_text} | {option.about} |"


def pages() -> dict[Path, Parts]:
    return {
        README: {"tools": tools_table(), "settings": often_table()},
        SETTINGS: {"settings": settings_table()},
    }


if __name__ == "__main__":
    sys.exit(written(pages()))
