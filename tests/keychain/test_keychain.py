"""The keyring, asked through its helper process: what comes of it, and that it never takes for ever."""

import io
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from logged import logged
from pydantic import SecretStr

from keychain.rings import PATIENCE, Ring, lives, took, without_package
from runapi_mcp import key_helper, logs
from runapi_mcp.errors import KeyMissing, KeyringFailed
from runapi_mcp.key import Keychain, OwnKey, with_session_bus
from runapi_mcp.settings import Settings

KEY = "sk-canary-0123456789"
URL = "https://runapi.ai"
HELPER = Path(key_helper.__file__)


async def find(own: OwnKey) -> SecretStr | KeyMissing:
    async def unheard(_line: str) -> None:
        pass

    try:
        return await own.find(PATIENCE, unheard)
    except KeyMissing as missing:
        return missing


def keychain(ring: Ring, url: str = URL, seconds: float = PATIENCE, **env: str) -> Keychain:
    return Keychain(url, os.environ | ring.env | env, seconds=seconds)


async def test_what_is_kept_is_found_again_and_forgotten_on_demand(ring: Ring) -> None:
    mine = keychain(ring)
    assert (await mine.keep(SecretStr(KEY))).key == SecretStr(KEY)
    assert await mine.key() == SecretStr(KEY)
    assert ring.entries == {f"runapi-mcp {URL}": KEY}
    assert (await mine.forget()).key == SecretStr(KEY)
    assert (await mine.forget()).key is None
    with pytest.raises(KeyMissing, match=r"Ring of the tests\) holds no key .* runapi-mcp key set"):
        await mine.key()


@pytest.mark.parametrize(
    ("url", "account"),
    [
        ("HTTPS://RunAPI.ai/base", "https://runapi.ai"),
        ("http://127.0.0.1:8765", "http://127.0.0.1:8765"),
    ],
)
async def test_a_key_belongs_to_the_runapi_it_was_kept_for(ring: Ring, url: str, account: str) -> None:
    assert keychain(ring, url).account == account
    await keychain(ring, url).keep(SecretStr(KEY))
    assert (await keychain(ring, "https://relay.example").look()).key is None


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("ring_backends.LockedRing", "is locked, or did not let this program in. Unlock it"),
        ("ring_backends.BrokenRing", "failed (ConnectionResetError). runapi-mcp key where tries it again"),
        ("ring_backends.Nothing", "no keyring that can be used from here (AttributeError)"),
        ("no_such_module.Ring", "no keyring that can be used from here (ModuleNotFoundError)"),
        ("keyring.backends.Windows.WinVaultKeyring", "no keyring that can be used from here (RuntimeError)"),
        ("keyring.backends.fail.Keyring", "no keyring that can be used from here. On Linux"),
        ("keyring.backends.null.Keyring", "no keyring that can be used from here. On Linux"),
    ],
)
async def test_a_keyring_that_cannot_be_used_says_so_and_what_to_do(ring: Ring, kind: str, told: str) -> None:
    ring.holds(URL, KEY)
    mine = keychain(ring, PYTHON_KEYRING_BACKEND=kind)
    with pytest.raises(KeyringFailed) as looked:
        await mine.key()
    with pytest.raises(KeyringFailed) as kept:
        await mine.keep(SecretStr(KEY))
    for failure in (str(looked.value), str(kept.value)):
        assert told in failure
        assert KEY not in failure


async def test_without_the_package_it_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(KeyringFailed, match=r'not installed beside .*"\.\[keyring\]"'):
        await Keychain(URL, os.environ | without_package(tmp_path)).key()


async def test_a_keyring_that_does_not_keep_what_it_takes_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(KeyringFailed, match="took the key and does not have it"):
        await keychain(Ring(tmp_path, "ForgetfulRing")).keep(SecretStr(KEY))


async def test_what_a_keyring_prints_is_not_taken_for_an_answer(tmp_path: Path) -> None:
    ring = Ring(tmp_path, "TalkingRing")
    ring.holds(URL, KEY)
    assert await keychain(ring).key() == SecretStr(KEY)


async def test_a_key_that_cannot_be_one_is_told_without_being_shown(ring: Ring) -> None:
    ring.holds(URL, f"{KEY} x")
    with pytest.raises(KeyMissing, match="The keyring holds a space") as raised:
        await keychain(ring).key()
    assert KEY not in str(raised.value)


async def test_a_keyring_that_asks_and_gets_no_answer_is_given_up_in_time(tmp_path: Path) -> None:
    ring, began = Ring(tmp_path, "AskingRing"), time.monotonic()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(expect_slow, keychain(ring, seconds=3.0))
        helper = await ring.asks()
    assert took(began) < 3.0 + PATIENCE / 4
    assert not lives(helper)


async def expect_slow(mine: Keychain) -> None:
    with pytest.raises(KeyringFailed, match="did not answer within 3 s; it may wait to be unlocked"):
        await mine.key()


async def test_a_helper_that_has_answered_leaves_by_itself(tmp_path: Path) -> None:
    """To kill one that is leaving is to wait for it twice, and asyncio complains of that on stderr."""
    ring = Ring(tmp_path, "SlowToLeaveRing")
    ring.holds(URL, KEY)
    assert await keychain(ring).key() == SecretStr(KEY)
    assert ring.asked[-1] == "left"


async def test_cancelled_nothing_of_it_stays(tmp_path: Path) -> None:
    ring = Ring(tmp_path, "AskingRing")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keychain(ring).key)
        helper = await ring.asks()
        tasks.cancel_scope.cancel()
    assert not lives(helper)


async def test_the_helper_leaves_when_whoever_asked_is_gone(tmp_path: Path) -> None:
    ring = Ring(tmp_path, "AskingRing")
    command = [sys.executable, "-P", str(HELPER)]
    async with await anyio.open_process(command, env=os.environ | ring.env, stderr=None) as helper:
        assert helper.stdin is not None
        await helper.stdin.send(b'{"do": "get", "service": "s", "account": "a"}\n')
        await ring.asks()
        await helper.stdin.aclose()
        with anyio.fail_after(PATIENCE):
            assert await helper.wait() == 1


async def test_nothing_in_the_working_folder_is_imported(ring: Ring, tmp_path: Path) -> None:
    """Hosts start servers in the folder of somebody's project."""
    for name in ("keyring", "runapi_mcp", "json"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('from the working folder')")
    ring.holds(URL, KEY)
    code = (
        "import anyio, json, os, sys; from runapi_mcp.key import Keychain\n"
        f"os.chdir({str(tmp_path)!r})\n"
        f"assert anyio.run(Keychain({URL!r}, os.environ).key).get_secret_value() == {KEY!r}"
    )
    done = await anyio.run_process([sys.executable, "-P", "-c", code], env=os.environ | ring.env, check=False)
    assert done.returncode == 0, done.stderr.decode()


async def test_calls_that_wait_at_the_same_time_share_one_question(tmp_path: Path) -> None:
    ring = Ring(tmp_path, "AskingRing")
    ring.holds(URL, KEY)
    own, found = OwnKey(keychain(ring)), list[SecretStr | KeyMissing]()

    async def ask() -> None:
        found.append(await find(own))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)
        await ring.asks()
        ring.unlock()
    assert found == [SecretStr(KEY)] * 5
    assert await find(own) == SecretStr(KEY)
    assert len([line for line in ring.asked if line.startswith("asks")]) == 1


async def test_a_failure_is_shared_by_those_who_waited_and_forgotten_for_the_next(ring: Ring) -> None:
    own, found = OwnKey(keychain(ring)), list[SecretStr | KeyMissing]()

    async def ask() -> None:
        found.append(await find(own))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask)
    assert len(ring.asked) == 1
    assert [type(one) for one in found] == [KeyMissing] * 3
    ring.holds(URL, KEY)
    assert await find(own) == SecretStr(KEY)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged by a server that knows no key when it starts."""
    with logged(Settings(log="info", keyring=True)) as stream:
        yield stream


async def test_a_key_that_became_known_later_is_kept_out_of_the_log(ring: Ring, log: io.StringIO) -> None:
    ring.holds(URL, KEY)
    await find(OwnKey(keychain(ring)))
    logs.info("quoted", text=f"they sent {KEY} back")
    assert "they sent [key] back" in log.getvalue()
    assert KEY not in log.getvalue()


def test_what_is_too_short_for_a_key_is_not_taken_out_of_every_line(log: io.StringIO) -> None:
    for key, shown in (("sim", "a simulated key"), ("simulate", "a [key]d key")):
        logs.hide(key)
        logs.info("quoted", text="a simulated key")
        assert shown in log.getvalue().splitlines()[-1]


def test_the_session_bus_is_found_where_systemd_has_it() -> None:
    if sys.platform != "linux":
        pytest.skip("the session bus is Linux's")
    name = "DBUS_SESSION_BUS_ADDRESS"
    # Not pytest's folder: the path of a socket may have a hundred characters.
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        bus = Path(folder) / str(os.getuid()) / "bus"
        bus.parent.mkdir()
        assert with_session_bus({"A": "b"}, Path(folder)) == {"A": "b"}
        listener.bind(str(bus))
        assert with_session_bus({}, Path(folder)) == {name: f"unix:path={bus}"}
        given = {name: "unix:path=/mine"}
        assert with_session_bus(given, Path(folder)) == given


async def test_a_helper_that_cannot_be_started_is_told(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(KeyringFailed, match=r"failed \(No such file"):
        await keychain(ring).key()


async def test_a_helper_that_says_nothing_is_told(ring: Ring) -> None:
    with pytest.raises(KeyringFailed, match=r"failed \(no answer\)"):
        await keychain(ring, PYTHONHOME="/nowhere").key()
