"""A home with hosts in it, and what its owner is told."""

from dataclasses import dataclass, field
from pathlib import Path

from hosts.samples import SAMPLES
from runapi_mcp.hosts import HOSTS, Launch, Machine, Wish, find_config, install, uninstall

KEY = "sk-canary-0123456789"
WISH = Wish(Launch("/opt/tools/runapi-mcp", ("--hold", "20")), without_key=True)


@dataclass
class Desk:
    """One person's home, and what they are told."""

    machine: Machine
    said: list[str] = field(default_factory=list)

    def config(self, host: str) -> Path:
        return find_config(HOSTS[host], self.machine)

    def has(self, host: str, text: str | None = None) -> Path:
        path = self.config(host)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((SAMPLES[host] if text is None else text).encode())
        return path

    def install(self, host: str, wish: Wish = WISH) -> None:
        install(HOSTS[host], self.machine, wish, self.said.append)

    def uninstall(self, host: str, wish: Wish = WISH) -> None:
        uninstall(HOSTS[host], self.machine, wish, self.said.append)

    @property
    def heard(self) -> str:
        return "\n".join(self.said)
