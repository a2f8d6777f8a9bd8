"""Keyrings for tests: real backends of the keyring package, which only the helper process loads.

Each keeps what it is given in the file RING_FILE, beside a line for every question it was asked.
"""

import atexit
import json
import os
import time
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

MOST_SECONDS = 60.0


class FileRing(KeyringBackend):
    """A keyring in a file."""

    priority = 5.0
    name = "Ring of the tests"

    def get_password(self, service: str, username: str) -> str | None:
        note(f"get {service} {username}")
        return entries().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        note(f"set {service} {username}")
        write(entries() | {f"{service} {username}": password})

    def delete_password(self, service: str, username: str) -> None:
        note(f"delete {service} {username}")
        kept = entries()
        del kept[f"{service} {username}"]
        write(kept)


class PlainRing(FileRing):
    """One that keyring does not recommend."""

    priority = 0.5
    name = "Plain file"


class TalkingRing(FileRing):
    """One that prints."""

    def get_password(self, service: str, username: str) -> str | None:
        print("Hello from the keyring")
        return super().get_password(service, username)


class LockedRing(FileRing):
    """One whose owner said no."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked(f"{service} {username}: dismissed")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked(password)


class BrokenRing(FileRing):
    """One that fails in a way of its own, and says too much."""

    def get_password(self, service: str, username: str) -> str | None:
        raise ConnectionResetError(entries().get(f"{service} {username}", ""))

    def set_password(self, service: str, username: str, password: str) -> None:
        raise ConnectionResetError(password)


class ForgetfulRing(FileRing):
    """One that takes what it does not keep."""

    def set_password(self, service: str, username: str, password: str) -> None:
        del service, username, password


class SlowToLeaveRing(FileRing):
    """One that has things to do after it has answered."""

    def get_password(self, service: str, username: str) -> str | None:
        atexit.register(self._leave)
        return super().get_password(service, username)

    def _leave(self) -> None:
        os.close(1)
        time.sleep(0.3)
        note("left")


class AskingRing(FileRing):
    """One that asks a person, and waits until there is a file RING_FILE.unlocked."""

    def get_password(self, service: str, username: str) -> str | None:
        note(f"asks as {os.getpid()}")
        until = time.monotonic() + MOST_SECONDS
        while not place(".unlocked").exists():
            if time.monotonic() > until:
                raise KeyringLocked("nobody came")
            time.sleep(0.01)
        return super().get_password(service, username)


def place(suffix: str = "") -> Path:
    return Path(os.environ["RING_FILE"] + suffix)


def entries() -> dict[str, str]:
    found: dict[str, str] = json.loads(place().read_text()) if place().exists() else {}
    return found


def write(kept: dict[str, str]) -> None:
    place().write_text(json.dumps(kept))


def note(line: str) -> None:
    with place(".asked").open("a") as file:
        file.write(line + "\n")
