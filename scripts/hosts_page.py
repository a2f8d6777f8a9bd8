"""Write the generated part of docs/hosts.md: ``python scripts/hosts_page.py`` (``--check`` only compares).

For each host: the command, what it writes (from ``install --print``), what the host is known to bear
(from ``host_limits.py``), and what its user sees.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from parts import written

from runapi_mcp.host_limits import HOSTS as LIMITS
from runapi_mcp.hosts.rows import HOSTS

PAGE = Path(__file__).parent.parent / "docs" / "hosts.md"
LAUNCHER = Path(sys.executable).with_name("runapi-mcp")
SHOWN_LAUNCHER = "/home/you/.local/share/uv/tools/runapi-mcp/bin/runapi-mcp"
"""Where `uv tool install` puts it on Linux, behind the link in ~/.local/bin."""

NAMES: Final = {"claude-desktop": "claude-ai", "claude-code": "claude-code", "vscode": "visual studio code"}
"""The host's name in the table of limits, where it is not its id."""
_NO_PROGRESS: Final = "The tool's name while it runs, then the answer. No progress is shown."
_NOT_KNOWN: Final = "The tool's name while it runs, then the answer. Whether it shows progress is not known."
SEEN: Final = {
    "claude-code": "The progress line under the tool's name, new at most twice a second, then the answer.",
    "vscode": "The progress line in the place of the tool's name, then the answer.",
    "gemini-cli": "The progress line in its terminal, none when it runs headless; then the answer.",
    "goose": "The progress line, then the answer.",
    "opencode": "The tool's name, then the answer. Progress is not shown, but keeps the call alive.",
    **dict.fromkeys(("claude-desktop", "zed", "cline", "codex"), _NO_PROGRESS),
}
"""What a host's user sees, where somebody looked."""

TO_ITS_MODEL: Final = {
    "claude-code": "Claude Code 2.1 with an entry without `alwaysLoad`: the tools' names and this server's "
    "instructions, about 300 tokens and no schema; the model looks a tool up with ToolSearch, then calls "
    "it. By the words that people use for what a tool does (22 tries) the right one was always found, "
    "first in 19. The first request of `claude -p` waits for no server, however fast that is: it holds this "
    "one's name alone. With `alwaysLoad` it waits, and all five stand in each request, about 1,900 tokens; "
    "so they do behind a proxy of `ANTHROPIC_BASE_URL`, where it switches the search off. A page of 40,000 "
    "characters arrives uncut, as text; where a result has both halves, the JSON alone does.",
    "codex": "Codex 0.171: all five tools and the instructions, as the namespace `mcp__runapi`, in the first "
    "request, if they were listed about a second after the start; else none in that turn. The "
    "result comes as text behind a line with the seconds it took; where it has both halves, the "
    "JSON alone. Our page for it (11,000 characters) arrives uncut.",
    "gemini-cli": "Gemini CLI 0.61: all five tools and the instructions, in every request. The result comes "
    "as text between `<untrusted_context>` tags, without the structured half. Our page for it (36,000 "
    "characters) arrives uncut.",
    "opencode": "opencode 1.18: all five tools and the instructions, in every request. The result comes as "
    "text, without the structured half. A page of 40,000 characters arrives uncut.",
}
"""What a host with its factory settings sends to its model, seen with a model server that wrote it down."""

BESIDES: Final = {
    "claude-code": "As a plugin, which asks for the key and keeps it in the system's keychain: in a clone of "
    "this repository, `claude plugin marketplace add ./`, then `claude plugin install runapi-mcp@runapi`.",
}


def section(host_id: str) -> str:
    host = HOSTS[host_id]
    command = ["install", host_id, *(["--store-key"] if host.key == "store" else [])]
    lines = [f"### {host.title}", "", "```sh", f"runapi-mcp {' '.join(command)}", "```", ""]
    lines += ["writes", "", f"```{_language(host_id)}", printed(command), "```", ""]
    if host.key == "store":
        lines += ["It hands no variables on, so the key has to stand in this file, or in your keyring.", ""]
    if host.project:
        lines += [f"`--project` writes `{host.project}` of the project you are in.{_trusted(host_id)}", ""]
    lines += [f"{host.then} **You will see:** {SEEN.get(host_id, _NOT_KNOWN)}", ""]
    row = next((row for row in LIMITS if row.name == NAMES.get(host_id, host_id)), None)
    if row is None:
        lines.append("What it bears is not known: a call is answered within 50 s, with a handle if need be.")
    elif row.hold == row.silent_hold:
        lines.append(f"Its limit: {row.reason}. A call is answered within {row.hold:g} s.")
    else:
        silent = f"{row.silent_hold:g} s if it asks for no progress"
        lines.append(f"Its limit: {row.reason}. A call is answered within {row.hold:g} s; within {silent}.")
    if host_id in TO_ITS_MODEL:
        lines += ["", f"**What its model gets**, at factory settings. {TO_ITS_MODEL[host_id]}"]
    lines += ["", BESIDES[host_id]] if host_id in BESIDES else []
    return "\n".join([*lines, ""])


def printed(command: list[str]) -> str:
    """Return what a command prints with `--print`, on a machine without any host's config."""
    env = {name: value for name, value in os.environ.items() if "RUNAPI" not in name and "GOOGLE" not in name}
    done = subprocess.run(  # noqa: S603  # our own command
        [LAUNCHER, *command, "--print"],
        env=env | {"HOME": "/nonexistent", "RUNAPI_TOKEN": "YOUR_RUNAPI_TOKEN"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.replace(str(LAUNCHER), SHOWN_LAUNCHER).strip()


def _trusted(host_id: str) -> str:
    return " Codex reads it in projects that it trusts." if host_id == "codex" else ""


def _language(host_id: str) -> str:
    return {"codex": "toml", "goose": "yaml"}.get(host_id, "json")


def sections() -> str:
    return "\n".join(section(host_id) for host_id in HOSTS)


if __name__ == "__main__":
    sys.exit(written({PAGE: {"hosts": sections()}}))
