"""What registries and hosts are told of the package is the package, and of the form they take.

The rules are those of the registry's schema 2025-12-11, of bundle manifest 0.4 and of the plugin
reference, for the fields in use here; `make mcpb` has the bundle judged by its own command line.
"""

import json
import re
import struct
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from runapi_mcp import __version__
from runapi_mcp.settings import KEY_NAMES, options
from runapi_mcp.tools import TOOLS

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VARIABLES = {*KEY_NAMES, *(option.env for option in options())}

TEXT = {"type": "string", "minLength": 1}
HTTPS = {"type": "string", "pattern": "^https://[^\\s]+$"}


def closed(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """An object schema that lets nothing else in."""
    properties = required | optional
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


VARIABLE = closed(
    {"name": TEXT, "description": TEXT},
    isRequired={"type": "boolean"},
    isSecret={"type": "boolean"},
    default=TEXT,
    format={"enum": ["string", "number", "boolean", "filepath"]},
)
REGISTRY = closed(
    {
        "$schema": {"const": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"},
        "name": {"type": "string", "pattern": "^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$", "maxLength": 200},
        "title": {"type": "string", "minLength": 1, "maxLength": 100},
        "description": {"type": "string", "minLength": 1, "maxLength": 100},
        "version": {"type": "string", "pattern": "^\\d+\\.\\d+\\.\\d+$"},
        "websiteUrl": HTTPS,
        "packages": {
            "type": "array",
            "items": closed(
                {
                    "registryType": {"const": "pypi"},
                    "identifier": TEXT,
                    "version": {"type": "string", "pattern": "^\\d+\\.\\d+\\.\\d+$"},
                    "runtimeHint": {"const": "uvx"},
                    "transport": closed({"type": {"const": "stdio"}}),
                    "environmentVariables": {"type": "array", "items": VARIABLE},
                }
            ),
        },
    }
)


def document(*path: str) -> Any:
    return json.loads(PACKAGING.joinpath(*path).read_text(encoding="utf-8"))


def test_the_generated_files_are_current() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/bundles.py", "--check"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"run: python scripts/bundles.py\n{done.stdout}{done.stderr}"


def test_the_registry_entry_has_the_registrys_form() -> None:
    jsonschema.Draft202012Validator(REGISTRY).validate(document("server.json"))


def test_the_registry_entry_equals_the_project() -> None:
    entry = document("server.json")
    (package,) = entry["packages"]
    assert package["identifier"] == PROJECT["name"]
    assert entry["version"] == package["version"] == __version__
    assert entry["websiteUrl"] == PROJECT["urls"]["Homepage"]
    (secret,) = [v for v in package["environmentVariables"] if v.get("isSecret")]
    assert secret["name"] == "RUNAPI_TOKEN"
    assert secret["isRequired"] is True


def test_the_readme_proves_to_the_registry_whose_package_it_is() -> None:
    assert PROJECT["readme"] == "README.md"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"<!-- mcp-name: {document('server.json')['name']} -->" in readme


def test_every_variable_that_is_set_is_one_we_read() -> None:
    named = [v["name"] for v in document("server.json")["packages"][0]["environmentVariables"]]
    named += document("mcpb", "manifest.json")["server"]["mcp_config"]["env"]
    named += document("claude-code-plugin", ".mcp.json")["mcpServers"]["runapi"]["env"]
    named += re.findall(r": (RUNAPI\w+)\n", (PACKAGING / "docker-mcp" / "server.yaml").read_text())
    assert set(named) <= VARIABLES
    assert named.count("RUNAPI_TOKEN") == 4


def test_the_bundle_asks_for_the_key_and_keeps_it_secret() -> None:
    manifest = document("mcpb", "manifest.json")
    token = manifest["user_config"]["token"]
    assert (token["sensitive"], token["required"]) == (True, True)
    references = re.findall(r"\$\{user_config\.(\w+)\}", json.dumps(manifest["server"]))
    assert sorted(references) == sorted(manifest["user_config"])


def test_the_bundle_is_one_that_the_host_runs_with_uv() -> None:
    manifest = document("mcpb", "manifest.json")
    assert manifest["manifest_version"] == "0.4"
    assert manifest["server"]["type"] == "uv"
    assert manifest["server"]["entry_point"] in manifest["server"]["mcp_config"]["args"]
    assert [tool["name"] for tool in manifest["tools"]] == list(TOOLS)


def test_a_staged_bundle_holds_the_package_and_asks_for_its_dependencies(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    subprocess.run([sys.executable, "scripts/bundles.py", "--stage", str(folder)], cwd=ROOT, check=True)
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dependencies"] == PROJECT["dependencies"]
    assert project["project"]["requires-python"] == PROJECT["requires-python"]
    assert "build-system" not in project, "uv would build the bundle as a package"
    ours = {path.relative_to(ROOT) for path in (ROOT / "runapi_mcp").rglob("*.py")}
    staged = {path.relative_to(folder / "src") for path in (folder / "src" / "runapi_mcp").rglob("*.py")}
    assert staged == ours
    assert (folder / "src" / "runapi_mcp" / "assets" / "logo.svg").exists()
    assert not list(folder.rglob("__pycache__"))
    done = subprocess.run(
        [sys.executable, "src/server.py", "--version"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"runapi-mcp {__version__}"


@pytest.mark.parametrize("folder", ["mcpb", "claude-code-plugin/.claude-plugin"])
def test_an_icon_is_a_png_of_the_size_that_hosts_ask_for(folder: str) -> None:
    content = (PACKAGING / folder / "icon.png").read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", content[16:24]) == (512, 512)


def test_the_docker_entry_names_every_tool_with_its_arguments() -> None:
    tools = {tool["name"]: tool for tool in document("docker-mcp", "tools.json")}
    assert list(tools) == list(TOOLS)
    for name, tool in TOOLS.items():
        named = {argument["name"] for argument in tools[name]["arguments"]}
        assert named == {field.alias or key for key, field in tool.args.model_fields.items()}


def test_the_plugin_asks_for_the_key_and_hands_it_to_the_server() -> None:
    plugin = document("claude-code-plugin", ".claude-plugin", "plugin.json")
    token = plugin["userConfig"]["token"]
    assert set(token) <= {"type", "title", "description", "required", "sensitive", "default"}
    assert token["sensitive"] is True
    assert (PACKAGING / "claude-code-plugin" / plugin["mcpServers"]).exists()
    server = document("claude-code-plugin", ".mcp.json")["mcpServers"]["runapi"]
    assert server["env"] == {"RUNAPI_TOKEN": "${user_config.token}"}
    assert server["args"] == [PROJECT["name"]]


@pytest.mark.parametrize("path", sorted(PACKAGING.rglob("*.json")), ids=lambda path: path.name)
def test_nothing_that_is_shipped_holds_a_key(path: Path) -> None:
    assert not re.search(r"sk-[A-Za-z0-9]{8}", path.read_text(encoding="utf-8"))
