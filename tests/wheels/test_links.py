"""The install links are current, hold what the hosts read, and never a key."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def query(host: str) -> dict[str, str]:
    found = re.search(rf"\((https://{re.escape(host)}/[^)]+)\)", README)
    assert found, f"no link to {host} in the README"
    return {name: value for name, (value,) in parse_qs(urlsplit(found[1]).query).items()}


def test_the_links_are_current() -> None:
    done = subprocess.run([sys.executable, "scripts/links.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "run: python scripts/links.py"


def test_cursors_link_starts_the_package_with_the_key_of_the_environment() -> None:
    given = query("cursor.com")
    config = json.loads(base64.b64decode(given["config"], validate=True))
    assert given["name"] == "runapi"
    assert [config["command"], *config["args"]] == ["uvx", "runapi-mcp"]
    assert config["env"] == {"RUNAPI_TOKEN": "${env:RUNAPI_TOKEN}"}


def test_vs_codes_link_starts_the_package_and_asks_for_the_key() -> None:
    given = query("vscode.dev")
    config, (key,) = json.loads(given["config"]), json.loads(given["inputs"])
    assert given["name"] == "runapi"
    assert [config["command"], *config["args"]] == ["uvx", "runapi-mcp"]
    assert config["env"] == {"RUNAPI_TOKEN": f"${{input:{key['id']}}}"}
    assert (key["type"], key["password"]) == ("promptString", True)
