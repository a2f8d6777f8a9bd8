"""Write the README's install links: ``python scripts/links.py`` (``--check`` only compares).

Both hosts take the server's configuration inside the link. VS Code asks for the key itself; Cursor
takes it from the environment, so the link holds a reference and never a key.
"""

import base64
import json
import sys
from pathlib import Path
from urllib.parse import quote

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- links:begin -->", "<!-- links:end -->"
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


def written(readme: str) -> str:
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    links = f"[Add to Cursor]({cursor()}) · [Add to VS Code]({vscode()})"
    return f"{head}{BEGIN}\n\n{links}\n\n{END}{tail}"


def main() -> int:
    before = README.read_text(encoding="utf-8")
    after = written(before)
    if "--check" in sys.argv:
        return int(before != after)
    README.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
