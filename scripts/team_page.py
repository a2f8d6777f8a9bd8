"""Write the generated part of docs/team.md: ``python scripts/team_page.py`` (``--check`` only compares).

For each host: its entry for a server over the network, and what a wrong token looks like in it.
"""

import sys
from pathlib import Path

from parts import written

from runapi_mcp.transports.http.joining import REMOTE_HOSTS, TOKEN, URL, RemoteHost

PAGE = Path(__file__).parent.parent / "docs" / "team.md"
EXAMPLE = "https://mcp.example.com/runapi/mcp"


def section(host: RemoteHost) -> str:
    language = {"codex": "toml", "goose": "yaml", "claude-code": "text", "other": "text"}.get(host.id, "json")
    entry = host.entry.replace(URL, EXAMPLE)
    assert TOKEN in entry
    lines = ["### " + host.title, "", host.where, "", f"```{language}", entry, "```", ""]
    return "\n".join([*lines, f"**If the token is wrong:** {host.wrong}", ""])


if __name__ == "__main__":
    sys.exit(written({PAGE: {"entries": "\n".join(map(section, REMOTE_HOSTS))}}))
