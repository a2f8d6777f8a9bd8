"""A patient with nothing wrong, into whom faults are planted."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runapi_mcp import __version__
from runapi_mcp.doctor import Finding, Patient, examine, line
from runapi_mcp.errors import SettingsError
from runapi_mcp.hosts import HOSTS, Launch, Machine, Wish, find_config, install
from runapi_mcp.settings import Settings, from_env

KEY = "sk-canary-0123456789"

FAKE_SERVER = """
import json, sys
{first}
for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("method") in ("initialize", "server/discover"):
        about = {{"name": "runapi-mcp", "version": {version!r}}}
        result = {{"serverInfo": about, "capabilities": {{}}, "protocolVersion": "2025-11-25"}}
    elif asked.get("method") == "tools/list":
        result = {{"tools": [{{"name": "ask_gemini"}}]}}
    else:
        continue
    print(json.dumps({{"jsonrpc": "2.0", "id": asked["id"], "result": result}}), flush=True)
"""


@dataclass
class Ward:
    """A home, an environment, and what the checks are told of the world."""

    home: Path
    base_url: str
    env: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    skew: timedelta = timedelta()
    consents: bool = True
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        tools = str(Path(sys.executable).parent)
        healthy = {"RUNAPI_TOKEN": KEY, "RUNAPI_BASE_URL": self.base_url, "PATH": f"{tools}:/usr/bin:/bin"}
        self.env = healthy | {"HOME": str(self.home)} | self.env

    @property
    def project(self) -> Path:
        return self.home / "project"

    @property
    def machine(self) -> Machine:
        return Machine("linux", self.env, str(self.home))

    def config(self, host: str) -> Path:
        return find_config(HOSTS[host], self.machine)

    def starts(self, host: str, command: str, *args: str) -> None:
        """Let a host's config start something."""
        path = self.config(host)
        path.parent.mkdir(parents=True, exist_ok=True)
        entry = {"command": command, "args": list(args), "env": {"RUNAPI_TOKEN": KEY}}
        path.write_text(json.dumps({HOSTS[host].path[0]: {"runapi": entry}}))

    def fake_server(self, *, version: str = __version__, first: str = "") -> Sequence[str]:
        """Write a server that starts at once; return the words that start it."""
        script = self.home / "server.py"
        script.write_text(FAKE_SERVER.format(version=version, first=first))
        return (sys.executable, "-S", str(script))

    def install(self, host: str, wish: Wish | None = None) -> None:
        launch = Launch(sys.executable, ("-m", "runapi_mcp"))
        install(HOSTS[host], self.machine, wish or Wish(launch), lambda _: None)

    async def findings(self) -> list[Finding]:
        """Examine, and make sure that nothing said shows the key."""
        found = [finding async for finding in examine(self._patient())]
        assert KEY not in repr(found)
        assert all(finding.mend and finding.move for finding in found if finding.status in ("warn", "fail"))
        return found

    async def of(self, check: str, host: str = "") -> list[Finding]:
        return [f for f in await self.findings() if f.check == check and f.host == host]

    def _patient(self) -> Patient:
        settings: Settings | SettingsError
        try:
            settings = from_env(self.env)
        except SettingsError as error:
            settings = error
        installed: Mapping[str, str] = dict.fromkeys(
            ("mcp", "httpx", "httpx-sse", "pydantic", "anyio", "jsonschema", "ruamel.yaml"), "1.0"
        )
        installed = {**installed, "runapi-mcp": __version__, **self.versions}
        healthy = Patient(
            settings,
            self.machine,
            Launch(str(Path(sys.executable).with_name("runapi-mcp"))),
            self.project,
            installed=lambda name: installed.get(name) or None,
            which=lambda name, path: shutil.which(name, path=path),
            now=lambda: datetime.now(UTC),
            consent=self._consent,
        )
        return replace(healthy, now=lambda: datetime.now(UTC) + self.skew)

    def _consent(self, question: str) -> bool:
        self.asked.append(question)
        return self.consents


def only(findings: Sequence[Finding]) -> Finding:
    """The one finding there is."""
    assert len(findings) == 1, [line(finding) for finding in findings]
    return findings[0]
