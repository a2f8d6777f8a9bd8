"""What each host would see: exactly what its config says is started."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hosts.samples import SAMPLES
from pydantic import SecretStr

from doctor.ward import KEY, Ward, only
from runapi_mcp.doctor.starting import environment
from runapi_mcp.hosts import HOSTS, Launch, Wiring, Wish, uninstall
from runapi_mcp.sim import Simulator

LAUNCH = Launch(sys.executable, ("-m", "runapi_mcp"))
STORING = {"claude-desktop", "cline"}


@pytest.fixture
def ward(tmp_path: Path, sim: Simulator) -> Ward:
    return Ward(tmp_path, sim.base_url)


async def test_install_doctor_uninstall_leave_every_config_byte_identical(ward: Ward) -> None:
    for host, sample in SAMPLES.items():
        ward.config(host).parent.mkdir(parents=True, exist_ok=True)
        ward.config(host).write_bytes(sample.encode())
        ward.install(host, Wish(LAUNCH, stored=SecretStr(KEY) if host in STORING else None))
    findings = await ward.findings()
    seen = {f.host: f for f in findings if f.check == "host"}
    assert list(seen) == list(HOSTS)
    for finding in seen.values():
        # A busy machine may start it more slowly than a host waits; it must start all the same.
        assert finding.status in ("ok", "warn")
        assert "lists 5 tools after" in finding.what
    assert {f.status for f in findings if f.check == "host-key"} == {"ok"}
    for host, sample in SAMPLES.items():
        uninstall(HOSTS[host], ward.machine, Wish(LAUNCH), lambda _: None)
        assert ward.config(host).read_bytes() == sample.encode()


async def test_a_line_on_stdout_that_is_no_message_is_told(ward: Ward) -> None:
    ward.starts("cursor", *ward.fake_server(first="print('Installed 12 packages')"))
    *_, found = await ward.of("host", "cursor")
    assert (found.status, "“Installed 12 packages”" in found.what) == ("warn", True)


async def test_a_server_that_dies_is_told_with_its_last_words_and_without_the_key(ward: Ward) -> None:
    crash = "import os; sys.exit('No module named x, key ' + os.environ['RUNAPI_TOKEN'])"
    ward.starts("cursor", *ward.fake_server(first=crash))
    found = only(await ward.of("host", "cursor"))
    assert (found.status, "exit code 1" in found.what) == ("fail", True)
    assert "No module named x, key [key]" in found.what


async def test_a_broken_host_config_is_told_and_the_others_are_still_seen(ward: Ward) -> None:
    ward.starts("zed", *ward.fake_server())
    ward.config("cursor").parent.mkdir()
    ward.config("cursor").write_text("{")
    broken, seen = only(await ward.of("host", "cursor")), only(await ward.of("host", "zed"))
    assert (broken.status, seen.status) == ("warn", "ok")
    assert "line 1" in broken.what


async def test_a_host_that_would_give_the_server_no_key_is_told(ward: Ward) -> None:
    ward.install("cursor", Wish(LAUNCH, key_variable="MY_KEY"))
    ward.env["MY_KEY"] = ""
    found = only(await ward.of("host-key", "cursor"))
    assert (found.status, "without a key" in found.what) == ("fail", True)


async def test_a_server_that_is_switched_off_is_not_started(ward: Ward) -> None:
    ward.install("opencode", Wish(LAUNCH))
    config = ward.config("opencode")
    config.write_text(config.read_text().replace('"enabled": true', '"enabled": false'))
    found = only(await ward.of("host", "opencode"))
    assert (found.status, "switched off" in found.what) == ("skipped", True)


@pytest.mark.parametrize(
    ("host", "wiring", "key"),
    [
        ("claude-code", Wiring(LAUNCH), "theirs"),
        ("claude-code", Wiring(LAUNCH, {"RUNAPI_TOKEN": "${MY_KEY}"}), "mine"),
        ("claude-code", Wiring(LAUNCH, {"RUNAPI_TOKEN": "${NOT_SET}"}), "${NOT_SET}"),
        ("cursor", Wiring(LAUNCH, {"RUNAPI_TOKEN": "${env:MY_KEY}"}), "mine"),
        ("cursor", Wiring(LAUNCH, {"RUNAPI_TOKEN": "${env:NOT_SET}"}), ""),
        ("gemini-cli", Wiring(LAUNCH, {"RUNAPI_TOKEN": "$MY_KEY"}), "mine"),
        ("opencode", Wiring(LAUNCH, {"RUNAPI_TOKEN": "{env:MY_KEY}"}), "mine"),
        ("codex", Wiring(LAUNCH), None),
        ("codex", Wiring(LAUNCH, forward=("RUNAPI_TOKEN",)), "theirs"),
        ("claude-desktop", Wiring(LAUNCH), None),
        ("claude-desktop", Wiring(LAUNCH, {"RUNAPI_TOKEN": "stored"}), "stored"),
        ("cline", Wiring(LAUNCH), None),
    ],
)
def test_a_server_gets_the_key_as_its_host_hands_it_on(
    ward: Ward, host: str, wiring: Wiring, key: str | None
) -> None:
    ward.env |= {"RUNAPI_TOKEN": "theirs", "MY_KEY": "mine"}
    env = environment(HOSTS[host], wiring, ward.machine)
    assert env.get("RUNAPI_TOKEN") == key
    assert env["PATH"] == ward.env["PATH"]


def doctor(ward: Ward, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runapi_mcp", "doctor", *flags],
        env=os.environ | ward.env,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def test_the_command_says_it_as_json_and_by_its_exit_code(ward: Ward) -> None:
    well = doctor(ward, "--json", "--yes")
    assert well.returncode == 0, well.stdout + well.stderr
    told = json.loads(well.stdout)
    assert told["ok"] is True
    assert "ok" in {f["status"] for f in told["findings"] if f["check"] == "call"}
    ward.env["RUNAPI_TOKEN"] = ""
    ill = doctor(ward)
    assert ill.returncode == 1
    assert "✗ key" in ill.stdout
    assert "to mend" in ill.stdout.splitlines()[-1]
    assert KEY not in well.stdout + well.stderr
