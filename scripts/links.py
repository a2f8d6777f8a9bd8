"""Write the README's install links: ``python scripts/links.py`` (``--check`` only compares).

Both hosts take the server's configuration inside the link. VS Code asks for the key itself; Cursor
takes it from the environment, so the link holds a reference and never a key.
"""

import base64
import json
import sys
from pathlib import Path
from urllib.parse import quote

from parts import written

README = Path(__file__).parent.parent / "README.md"
NAME, PACKAGE, VARIABLE = "runapi", "runapi-mcp", "RUNAPI_TOKEN"


def cursor() -> str:
    """Cursor's web page that opens its install dialogue; Markdown on the web shows no cursor:// links."""
    config = {"command": "uvx", "args": [PACKAGE], "env": {VARIABLE: f"${{env:{VARIABLE}}}"}}
    encoded = base64.b64encode(_compact(config).encode()).decode("ascii")
    return f"https://cursor.com/install-mcp?name={NAME}&config={quote(encoded, safe='')}"


def vscode() -> str:
    """VS Code's page that opens its install dialogue, which asks for the key and keeps it."""
    key = {"type": "promptString", "id": "runapi_token", "description": "RunAPI key", "password": True}
    config = {
        "type": "stdio",
        "command": "uvx",
        "args": [PACKAGE],
        "env": {VARIABLE: f"${{input:{key['id']}}}"},
    }
    inputs, server = quote(_compact([key]), safe=""), quote(_compact(config), safe="")
    return f"https://vscode.dev/redirect/mcp/install?name={NAME}&inputs={inputs}&config={server}"


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def links() -> str:
    return f"[Add to Cursor]({cursor()}) · [Add to VS Code]({vscode()})"


if __name__ == "__main__":
    sys.exit(written({README: {"links": links()}}))
