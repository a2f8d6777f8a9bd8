"""What registries and hosts are told of the package is the package, and of the form they take.

The rules are those of the MCP registry (its schema 2025-12-11, and what it refuses beyond that when
something is published), of Docker's registry (what its validation refuses), and of Claude Code's plugins,
for the fields in use here: what the published schemas leave open is closed, because a member that a
registry does not know is dropped in silence. `make mcpb` has the bundle judged by its own command line.
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
from ruamel.yaml import YAML

from runapi_mcp import __version__
from runapi_mcp.settings import KEY_NAMES, options
from runapi_mcp.tools import TOOLS

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VARIABLES = {*KEY_NAMES, *(option.env for option in options())}

TEXT = {"type": "string", "minLength": 1}
HTTPS = {"type": "string", "format": "uri", "pattern": "^https://[^\\s]+$"}
ONE_VERSION = {
    "type": "string",
    "maxLength": 255,
    # One version and no range: the registry refuses latest, ^1.2.3, >=1.2.3, 1.2.x and their like.
    "pattern": r"^\d+\.\d+\.\d+([ab.-]|rc|$)[0-9A-Za-z.-]*$",
}


def closed(required: dict[str, Any], /, **optional: Any) -> dict[str, Any]:
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
    placeholder=TEXT,
    choices={"type": "array", "items": TEXT, "minItems": 2},
    format={"enum": ["string", "number", "boolean", "filepath"]},
)
REGISTRY = closed(
    {
        "$schema": {"const": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"},
        "name": {
            "type": "string",
            # A name space that is a domain in reverse, one slash, a name; each begins and ends with a letter
            # or a digit, which the schema does not ask for and the registry does.
            "pattern": r"^[a-zA-Z0-9][a-zA-Z0-9.-]*[a-zA-Z0-9]/[a-zA-Z0-9][a-zA-Z0-9._-]*[a-zA-Z0-9]$",
            "maxLength": 200,
        },
        "title": {"type": "string", "pattern": r"\S", "maxLength": 100},
        "description": {"type": "string", "minLength": 1, "maxLength": 100},
        "version": ONE_VERSION,
        "websiteUrl": HTTPS,
        "packages": {
            "type": "array",
            "items": closed(
                {
                    "registryType": {"const": "pypi"},
                    # The registry takes no mirror.
                    "registryBaseUrl": {"const": "https://pypi.org"},
                    "identifier": {"type": "string", "pattern": r"^\S+$"},
                    "version": ONE_VERSION,
                    "runtimeHint": {"const": "uvx"},
                    # Over stdio a URL is refused.
                    "transport": closed({"type": {"const": "stdio"}}),
                    "environmentVariables": {"type": "array", "items": VARIABLE},
                }
            ),
        },
    }
)


PERSON = closed({"name": TEXT}, url=HTTPS)
WISHED = closed(
    {
        "type": {"enum": ["string", "number", "boolean", "directory", "file"]},
        "title": {"type": "string"},
        "description": {"type": "string"},
    },
    required={"type": "boolean"},
    sensitive={"type": "boolean"},
)
PLUGIN = closed(
    {
        "$schema": HTTPS,
        "name": {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"},
        "version": ONE_VERSION,
        "description": TEXT,
        "author": PERSON,
        "homepage": HTTPS,
        "license": TEXT,
        "keywords": {"type": "array", "items": TEXT},
        "mcpServers": {"type": "string", "pattern": r"^\./.*\.json$"},
        "userConfig": {
            "type": "object",
            "propertyNames": {"pattern": r"^[A-Za-z_]\w*$"},
            "additionalProperties": WISHED,
        },
    }
)
MARKETPLACE = closed(
    {
        "$schema": HTTPS,
        "name": TEXT,
        "description": TEXT,
        "owner": PERSON,
        "plugins": {
            "type": "array",
            "items": closed(
                {"name": TEXT, "source": {"type": "string", "pattern": r"^\./"}, "description": TEXT},
                category=TEXT,
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
    checker = jsonschema.FormatChecker()
    jsonschema.Draft202012Validator(REGISTRY, format_checker=checker).validate(document("server.json"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "ai.runapi/runapi-mcp-"),
        ("name", "ai.runapi/tools/runapi-mcp"),
        ("name", "runapi-mcp"),
        ("title", " "),
        ("description", "x" * 101),
        ("version", "latest"),
        ("version", "^1.2.3"),
        ("version", "1.2.x"),
        ("version", "1.2.3 - 2.0.0"),
        ("websiteUrl", "http://runapi.ai"),
        ("tags", ["gemini"]),
    ],
)
def test_what_the_registry_would_refuse_or_drop_is_not_let_through(name: str, value: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(REGISTRY).validate(document("server.json") | {name: value})


def test_a_default_that_a_registry_shows_is_one_that_the_server_takes() -> None:
    known = {option.env: option for option in options()}
    for variable in document("server.json")["packages"][0]["environmentVariables"]:
        shown = [variable[name] for name in ("default", "placeholder") if name in variable]
        for text in (*shown, *variable.get("choices", [])):
            known[variable["name"]].parse(text)
        if "default" in variable:
            assert variable["default"] == known[variable["name"]].default
            assert variable["default"] in variable.get("choices", [variable["default"]])


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


def docker() -> Any:
    return YAML(typ="safe").load((PACKAGING / "docker-mcp" / "server.yaml").read_text(encoding="utf-8"))


def test_the_docker_entry_is_one_that_dockers_registry_takes() -> None:
    entry = docker()
    assert re.fullmatch("[a-z0-9-]+", entry["name"])
    words = entry["about"]["title"].split()
    assert all(word in ("and", "for") or word[0].isupper() for word in words)
    assert not {"MCP", "Server"} & set(words)
    assert all(re.fullmatch(r"[\w-]+\.[\w.-]+", secret["name"]) for secret in entry["config"]["secrets"])
    parameters = entry["config"]["parameters"]["properties"]
    for variable in entry["config"]["env"]:
        found = re.fullmatch(r"\{\{([\w-]+)\.(\w+)\}\}", variable["value"])
        assert found
        assert found[1] == entry["name"]
        assert found[2] in parameters
    assert "source" not in entry, "the commit is for those to name who publish it"


def test_docker_starts_the_server_over_stdio() -> None:
    """The image by itself serves over HTTP; the entry's command stands in for that."""
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "d", "version": "1"}}
    asked = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}) + "\n"
    assert '\nENTRYPOINT ["runapi-mcp"]\n' in (PACKAGING / "Dockerfile").read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "runapi_mcp", *docker()["run"]["command"]],
        input=asked,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout)["result"]["serverInfo"]["version"] == __version__


def test_the_docker_entry_names_every_tool_with_its_arguments() -> None:
    tools = {tool["name"]: tool for tool in document("docker-mcp", "tools.json")}
    assert list(tools) == list(TOOLS)
    arguments = [argument for tool in tools.values() for argument in tool["arguments"]]
    assert all(argument["desc"] for argument in arguments), "Docker's registry refuses one without"
    assert all(argument["items"]["type"] for argument in arguments if argument["type"] == "array")
    for name, tool in TOOLS.items():
        named = {argument["name"] for argument in tools[name]["arguments"]}
        assert named == {field.alias or key for key, field in tool.args.model_fields.items()}


def test_the_plugin_asks_for_the_key_and_hands_it_to_the_server() -> None:
    plugin = document("claude-code-plugin", ".claude-plugin", "plugin.json")
    jsonschema.Draft202012Validator(PLUGIN).validate(plugin)
    token = plugin["userConfig"]["token"]
    assert token["sensitive"] is True
    assert (PACKAGING / "claude-code-plugin" / plugin["mcpServers"]).exists()
    server = document("claude-code-plugin", ".mcp.json")["mcpServers"]["runapi"]
    assert server["env"] == {"RUNAPI_TOKEN": "${user_config.token}"}
    assert server["args"] == [PROJECT["name"]]


def test_the_repository_is_a_marketplace_that_offers_the_plugin() -> None:
    marketplace = json.loads((ROOT / ".claude-plugin" / "marketplace.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(MARKETPLACE).validate(marketplace)
    (offered,) = marketplace["plugins"]
    plugin = json.loads((ROOT / offered["source"] / ".claude-plugin" / "plugin.json").read_text("utf-8"))
    assert plugin["name"] == offered["name"]


@pytest.mark.parametrize("path", sorted(PACKAGING.rglob("*.json")), ids=lambda path: path.name)
def test_nothing_that_is_shipped_holds_a_key(path: Path) -> None:
    assert not re.search(r"sk-[A-Za-z0-9]{8}", path.read_text(encoding="utf-8"))
