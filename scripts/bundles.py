"""Write the files by which hosts and registries know this package, from the package itself.

``python scripts/bundles.py`` writes them under ``packaging/``; ``--check`` only compares;
``--stage DIR`` lays out the folder that becomes the ``.mcpb`` bundle.
"""

import argparse
import json
import shutil
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from runapi_mcp import __version__
from runapi_mcp.models import AUTO
from runapi_mcp.server.app import input_schema
from runapi_mcp.settings import DEFAULT_BASE_URL, LogLevel
from runapi_mcp.tools import TOOLS
from runapi_mcp.wire.grounding import REDIRECT_HOST

ROOT = Path(__file__).parent.parent
PACKAGING = ROOT / "packaging"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

NAME: str = PROJECT["name"]
REGISTRY_NAME = f"ai.runapi/{NAME}"
HOMEPAGE: str = PROJECT["urls"]["Homepage"]
AUTHOR = {"name": f"The {NAME} contributors", "url": HOMEPAGE}
SCHEMAS = "https://json.schemastore.org"
TITLE = "Gemini through RunAPI"
DOCKER_TITLE = "Gemini Through RunAPI"
"""Docker's registry refuses a title with a word in lower case, and one with MCP or Server in it."""
SUMMARY = "Ask Gemini, search the web with sources, extract JSON: always streaming, never holding the host."
KEY_HELP = f"Your RunAPI key, from {HOMEPAGE}."
MODEL_HELP = "Model of ask_gemini and extract_json; auto takes one that RunAPI has."
SEARCH_HELP = "Model of search_web; auto takes one that RunAPI has."
HOLD_HELP = "Seconds a call may keep its host waiting; auto goes by the host."
LOG_HELP = "Log to stderr, as JSON lines, without prompts and answers."
LOG_LEVELS: tuple[str, ...] = get_args(LogLevel)
FOLDER_HELP = "Folder whose files may be attached to a call; leave it empty to attach none."

Document = dict[str, Any]


def registry_entry() -> Document:
    """server.json of the MCP registry, schema 2025-12-11."""
    variables = [
        {"name": "RUNAPI_TOKEN", "description": KEY_HELP, "isRequired": True, "isSecret": True},
        {"name": "RUNAPI_MCP_MODEL", "description": MODEL_HELP, "default": AUTO},
        {"name": "RUNAPI_MCP_SEARCH_MODEL", "description": SEARCH_HELP, "default": AUTO},
        {"name": "RUNAPI_MCP_ALLOW_DIR", "description": FOLDER_HELP, "format": "filepath"},
        {"name": "RUNAPI_MCP_HOLD", "description": HOLD_HELP, "default": "auto", "placeholder": "50"},
        {"name": "RUNAPI_MCP_LOG", "description": LOG_HELP, "default": "off", "choices": list(LOG_LEVELS)},
    ]
    package = {
        "registryType": "pypi",
        "registryBaseUrl": "https://pypi.org",
        "identifier": NAME,
        "version": __version__,
        "runtimeHint": "uvx",
        "transport": {"type": "stdio"},
        "environmentVariables": variables,
    }
    return {
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": REGISTRY_NAME,
        "title": TITLE,
        "description": SUMMARY,
        "version": __version__,
        "websiteUrl": HOMEPAGE,
        "packages": [package],
    }


def mcpb_manifest() -> Document:
    """manifest.json of a bundle, version 0.4: the host's uv installs what pyproject.toml asks for."""
    return {
        "manifest_version": "0.4",
        "name": NAME,
        "display_name": TITLE,
        "version": __version__,
        "description": SUMMARY,
        "author": AUTHOR,
        "homepage": HOMEPAGE,
        "icon": "icon.png",
        "server": {
            "type": "uv",
            "entry_point": "src/server.py",
            "mcp_config": {
                "command": "uv",
                # In its own folder: a host may start servers in /, and then every file would be open to it.
                "args": ["run", "--directory", "${__dirname}", "src/server.py"],
                "env": {
                    "RUNAPI_TOKEN": "${user_config.token}",
                    "RUNAPI_MCP_MODEL": "${user_config.model}",
                    "RUNAPI_MCP_ALLOW_DIR": "${user_config.folder}",
                },
            },
        },
        "tools": [{"name": tool.name, "description": tool.description} for tool in TOOLS.values()],
        "prompts_generated": True,
        "keywords": PROJECT["keywords"],
        "license": PROJECT["license"],
        "compatibility": {
            "platforms": ["darwin", "win32", "linux"],
            "runtimes": {"python": PROJECT["requires-python"]},
        },
        "user_config": {
            "token": _option("RunAPI key", KEY_HELP, sensitive=True, required=True),
            "model": _option("Model", MODEL_HELP, default=AUTO),
            "folder": _option("Folder", FOLDER_HELP, kind="directory", default=""),
        },
    }


def _option(title: str, description: str, *, kind: str = "string", **more: object) -> Document:
    return {"type": kind, "title": title, "description": description, "required": False} | more


def mcpb_project() -> str:
    """pyproject.toml of a bundle: our dependencies, without a build."""
    wanted = "".join(f"  {json.dumps(dependency)},\n" for dependency in PROJECT["dependencies"])
    return (
        f'[project]\nname = "{NAME}-bundle"\nversion = "{__version__}"\n'
        f'requires-python = "{PROJECT["requires-python"]}"\ndependencies = [\n{wanted}]\n'
    )


def docker_entry() -> str:
    """server.yaml of Docker's MCP registry, but for `source`, which names the public commit to build.

    Docker talks to a server over stdio, so the image's own command, which serves over HTTP, is replaced.
    """
    secret = f"{NAME}.token"
    return (
        f"name: {NAME}\nimage: mcp/{NAME}\ntype: server\n"
        f"meta:\n  category: ai\n  tags:\n    - gemini\n    - search\n    - extraction\n"
        f"about:\n  title: {DOCKER_TITLE}\n  description: {json.dumps(SUMMARY)}\n"
        f"run:\n  command:\n    - serve\n  allowHosts:\n    - {urlsplit(DEFAULT_BASE_URL).hostname}:443\n"
        f"    - {REDIRECT_HOST}:443\n"
        f"config:\n  description: {json.dumps(f'Get a key at {HOMEPAGE}.')}\n  secrets:\n"
        f"    - name: {secret}\n      env: RUNAPI_TOKEN\n      example: YOUR_RUNAPI_TOKEN\n"
        f"  env:\n    - name: RUNAPI_MCP_MODEL\n      example: {AUTO}\n"
        f'      value: "{{{{{NAME}.model}}}}"\n'
        f"  parameters:\n    type: object\n    properties:\n      model:\n        type: string\n"
        f"        default: {AUTO}\n"
    )


def docker_tools() -> list[Document]:
    """tools.json of Docker's MCP registry, so that its build need not run the server."""
    return [
        {"name": tool.name, "description": tool.description, "arguments": _arguments(input_schema(tool.args))}
        for tool in TOOLS.values()
    ]


def _arguments(schema: Mapping[str, Any]) -> list[Document]:
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "type": described.get("type", "string"),
            **_items(described),
            "desc": described.get("description", ""),
            **({} if name in required else {"optional": True}),
        }
        for name, described in schema.get("properties", {}).items()
    ]


def _items(described: Mapping[str, Any]) -> Document:
    kind = described.get("items", {}).get("type")
    return {"items": {"type": kind}} if kind else {}


def claude_plugin() -> Document:
    """plugin.json of a Claude Code plugin: it asks for the key and keeps it in the system's keychain."""
    return {
        "$schema": f"{SCHEMAS}/claude-code-plugin-manifest.json",
        "name": NAME,
        "version": __version__,
        "description": SUMMARY,
        "author": AUTHOR,
        "homepage": HOMEPAGE,
        "license": PROJECT["license"],
        "keywords": PROJECT["keywords"],
        "mcpServers": "./.mcp.json",
        "userConfig": {
            "token": {
                "type": "string",
                "title": "RunAPI key",
                "description": KEY_HELP,
                "sensitive": True,
                "required": True,
            },
        },
    }


def claude_servers() -> Document:
    """.mcp.json of a Claude Code plugin."""
    server = {"command": "uvx", "args": [NAME], "env": {"RUNAPI_TOKEN": "${user_config.token}"}}
    return {"mcpServers": {"runapi": server}}


def claude_marketplace() -> Document:
    """marketplace.json of Claude Code: this repository, or a clone of it, offers the plugin."""
    return {
        "$schema": f"{SCHEMAS}/claude-code-marketplace.json",
        "name": "runapi",
        "description": f"{TITLE}, for Claude Code.",
        "owner": AUTHOR,
        "plugins": [
            {
                "name": NAME,
                "source": "./packaging/claude-code-plugin",
                "description": SUMMARY,
                "category": "productivity",
            },
        ],
    }


def written() -> dict[Path, str]:
    """Every generated file and its text."""
    plugin = PACKAGING / "claude-code-plugin"
    return {
        PACKAGING / "server.json": _json(registry_entry()),
        PACKAGING / "mcpb" / "manifest.json": _json(mcpb_manifest()),
        PACKAGING / "docker-mcp" / "server.yaml": docker_entry(),
        PACKAGING / "docker-mcp" / "tools.json": _json(docker_tools()),
        plugin / ".claude-plugin" / "plugin.json": _json(claude_plugin()),
        plugin / ".mcp.json": _json(claude_servers()),
        ROOT / ".claude-plugin" / "marketplace.json": _json(claude_marketplace()),
    }


def stage(folder: Path) -> None:
    """Lay out a bundle: manifest, icon, pyproject, and the package itself beside its starter."""
    shutil.rmtree(folder, ignore_errors=True)
    source = folder / "src"
    shutil.copytree(ROOT / NAME.replace("-", "_"), source / "runapi_mcp", ignore=_NOT_BUNDLED)
    (folder / "manifest.json").write_text(_json(mcpb_manifest()), encoding="utf-8")
    (folder / "pyproject.toml").write_text(mcpb_project(), encoding="utf-8")
    shutil.copy(PACKAGING / "mcpb" / "server.py", source)
    shutil.copy(PACKAGING / "mcpb" / "icon.png", folder)
    shutil.copy(ROOT / "LICENSE", folder)


_NOT_BUNDLED = shutil.ignore_patterns("__pycache__", "*.pyc")


def _json(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="only compare; 1 if a file is not current")
    what.add_argument("--stage", type=Path, metavar="DIR", help="lay out the folder of the bundle there")
    given = parser.parse_args()
    if given.stage:
        stage(given.stage)
        return 0
    stale = {path: text for path, text in written().items() if _kept(path) != text}
    if given.check:
        print("".join(f"not current: {path.relative_to(ROOT)}\n" for path in stale), end="")
        return int(bool(stale))
    for path, text in stale.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


def _kept(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
