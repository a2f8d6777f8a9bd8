"""A keyring of a test's own, as the environment describes it to a server."""

import json
import os
import re
import time
from pathlib import Path

from waiting import became

HERE = Path(__file__).parent
SERVICE = "runapi-mcp"
PATIENCE = 20.0  # seconds; far above anything a passing test needs


class Ring:
    """What a keyring holds, and what it was asked."""

    def __init__(self, folder: Path, kind: str = "FileRing") -> None:
        self._file = folder / "ring.json"
        self.env = {
            "PYTHONPATH": str(HERE),
            "PYTHON_KEYRING_BACKEND": f"ring_backends.{kind}",
            "RING_FILE": str(self._file),
            "RUNAPI_TOKEN": "",
        }

    def holds(self, account: str, key: str) -> None:
        """Put a key there, as another program would."""
        self._file.write_text(json.dumps({f"{SERVICE} {account}": key}))

    @property
    def entries(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self._file.read_text()) if self._file.exists() else {}
        return found

    @property
    def asked(self) -> list[str]:
        """What it was asked, in order."""
        notes = self._file.with_name("ring.json.asked")
        return notes.read_text().splitlines() if notes.exists() else []

    def unlock(self) -> None:
        """Be the person it asks."""
        self._file.with_name("ring.json.unlocked").touch()

    async def asks(self) -> int:
        """Wait until it asks somebody; return the process in which it does."""
        await became(lambda: any(line.startswith("asks") for line in self.asked), PATIENCE)
        found = re.search(r"asks as (\d+)", "\n".join(self.asked))
        assert found
        return int(found[1])


def lives(process: int) -> bool:
    """Whether a process is there; one that has ended and was not waited for is not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/status")
    try:
        return not status.exists() or "State:\tZ" not in status.read_text()
    except OSError:
        return False


def without_package(folder: Path) -> dict[str, str]:
    """Return an environment in which the keyring package cannot be imported."""
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['keyring'] = None\n")
    return {"PYTHONPATH": str(folder), "RUNAPI_TOKEN": ""}


def took(began: float) -> float:
    """Return the seconds since."""
    return time.monotonic() - began
