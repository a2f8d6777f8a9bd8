"""runapi-mcp key, as it is typed and as it is piped; and install --keyring."""

import json
import os
import select
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import forked
from terminal.typed import open_terminal

from keychain.rings import PATIENCE, Ring, without_package

KEY = "sk-canary-0123456789"
ENTRY = {"runapi-mcp https://runapi.ai": KEY}
Type = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def typed(tmp_path: Path, ring: Ring) -> Type:
    def command(*words: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*forked(), *words],
            env=os.environ | {"HOME": str(tmp_path), "RUNAPI_MCP_STORE": ""} | ring.env | env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr
        assert KEY not in done.stdout + done.stderr
        return done

    return command


def test_a_key_is_set_from_stdin_found_and_forgotten(typed: Type, ring: Ring) -> None:
    kept = typed("key", "set", stdin=f"{KEY}\n")
    assert kept.returncode == 0, kept.stderr
    assert "Ring of the tests keeps the key for https://runapi.ai." in kept.stdout
    assert "install HOST --keyring" in kept.stdout
    assert kept.stderr == ""
    assert ring.entries == ENTRY
    where = typed("key", "where")
    assert where.returncode == 0
    assert "of 20 characters" in where.stdout
    assert "RUNAPI_MCP_KEYRING is not set" in where.stdout
    assert "takes the key from there" in typed("key", "where", RUNAPI_MCP_KEYRING="1").stdout
    assert "no longer holds a key" in typed("key", "forget").stdout
    assert ring.entries == {}
    again = typed("key", "forget")
    assert (again.returncode, "holds no key" in again.stdout) == (0, True)
    assert typed("key", "where").returncode == 1


def test_a_key_is_typed_without_being_shown(tmp_path: Path, ring: Ring) -> None:
    terminal, inner = open_terminal()
    process = subprocess.Popen(
        [*forked(), "key", "set"],
        env=os.environ | {"HOME": str(tmp_path)} | ring.env,
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
    )
    os.close(inner)
    seen = b""
    while b"it is not shown" not in seen:
        assert select.select([terminal], [], [], PATIENCE)[0], seen
        seen += os.read(terminal, 4096)
    os.write(terminal, KEY.encode() + b"\n")
    while select.select([terminal], [], [], PATIENCE)[0]:
        try:
            seen += os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
    os.close(terminal)
    assert process.wait(PATIENCE) == 0, seen
    assert b"keeps the key" in seen
    assert KEY.encode() not in seen
    assert ring.entries == ENTRY


@pytest.mark.parametrize(("text", "told"), [("", "No key was given"), (f"{KEY} x", "holds a space")])
def test_what_cannot_be_a_key_is_not_kept(typed: Type, ring: Ring, text: str, told: str) -> None:
    done = typed("key", "set", stdin=text)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert ring.asked == []


def test_a_key_is_kept_for_the_runapi_that_is_set(typed: Type, ring: Ring) -> None:
    typed("key", "set", stdin=KEY, RUNAPI_BASE_URL="https://relay.example/v")
    assert ring.entries == {"runapi-mcp https://relay.example": KEY}
    assert typed("key", "where").returncode == 1
    assert typed("--base-url", "https://relay.example", "key", "where").returncode == 0


def test_a_variable_that_goes_first_is_told(typed: Type) -> None:
    assert (
        "RUNAPI_TOKEN is set here, and goes first" in typed("key", "set", stdin=KEY, RUNAPI_TOKEN=KEY).stderr
    )
    where = typed("key", "where", RUNAPI_TOKEN=KEY, RUNAPI_MCP_KEYRING="1")
    assert where.stdout.startswith("RUNAPI_TOKEN is set here: a server started from here takes the key from")
    assert where.stdout.count("takes the key") == 1


def test_a_keyring_that_may_be_a_file_is_told(typed: Type) -> None:
    done = typed("key", "set", stdin=KEY, PYTHON_KEYRING_BACKEND="ring_backends.PlainRing")
    assert done.returncode == 0
    assert "Plain file is not one of the keyrings of an operating system" in done.stderr


@pytest.mark.parametrize("deed", ["set", "forget"])
def test_a_keyring_that_cannot_be_used_ends_the_command(typed: Type, deed: str) -> None:
    done = typed("key", deed, stdin=KEY, PYTHON_KEYRING_BACKEND="keyring.backends.fail.Keyring")
    assert (done.returncode, done.stdout) == (2, "")
    assert "set RUNAPI_TOKEN instead" in done.stderr


def test_where_tells_of_a_keyring_that_cannot_be_used(typed: Type) -> None:
    kind = "keyring.backends.fail.Keyring"
    none = typed("key", "where", PYTHON_KEYRING_BACKEND=kind)
    assert (none.returncode, "no keyring that can be used" in none.stdout) == (1, True)
    assert typed("key", "where", PYTHON_KEYRING_BACKEND=kind, RUNAPI_TOKEN=KEY).returncode == 0


def test_no_key_is_taken_as_an_argument(typed: Type) -> None:
    assert typed("key", "set", "sk-another-key").returncode == 2


# ---------------------------------------------------------------- install


def test_install_writes_a_config_without_a_key_or_a_reference_to_one(
    typed: Type, ring: Ring, tmp_path: Path
) -> None:
    ring.holds("https://runapi.ai", KEY)
    done = typed("install", "claude-desktop", "--keyring")
    assert (done.returncode, done.stderr) == (0, "")
    assert "takes it from this machine's keyring" in done.stdout
    config = json.loads((tmp_path / ".config/Claude/claude_desktop_config.json").read_text())
    assert config["mcpServers"]["runapi"]["env"] == {"RUNAPI_MCP_KEYRING": "1"}


def test_install_says_that_the_keyring_has_no_key_yet(typed: Type, tmp_path: Path) -> None:
    done = typed("install", "codex", "--keyring")
    assert done.returncode == 0
    assert "runapi-mcp key set" in done.stderr
    assert (tmp_path / ".codex/config.toml").exists()


def test_install_without_the_package_writes_nothing(typed: Type, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    done = typed("install", "cursor", "--keyring", **without_package(broken))
    assert (done.returncode, done.stdout) == (2, "")
    assert ".[keyring]" in done.stderr
    assert not (tmp_path / ".cursor").exists()


def test_install_asks_nothing_when_it_only_prints(typed: Type, ring: Ring) -> None:
    assert "RUNAPI_MCP_KEYRING" in typed("install", "cursor", "--keyring", "--print").stdout
    assert ring.asked == []


def test_one_place_for_the_key_has_to_be_chosen(typed: Type) -> None:
    done = typed("install", "cline", "--keyring", "--store-key")
    assert (done.returncode, "not allowed with" in done.stderr) == (2, True)
