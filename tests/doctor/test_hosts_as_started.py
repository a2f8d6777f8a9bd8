"""What each host would see: exactly what its config says is started."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hosts.samples import SAMPLES
from pydantic import SecretStr

from doctor.ward import KEY, Ward, only
from runapi_mcp.doctor import verdict
from runapi_mcp.doctor.hosts import Entry, _check_command, _check_lacking, build_env
from runapi_mcp.hosts import HOSTS, Host, Launch, Machine, Place, Wiring, Wish, uninstall
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


async def test_a_server_that_is_slower_than_its_host_bears_is_waited_for_and_told(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cast("dict[str, Host]", HOSTS), "cursor", replace(HOSTS["cursor"], patience=0.0001))
    ward.starts("cursor", *ward.fake_server())
    found = only(await ward.of("host", "cursor"))
    assert (found.status, "lists 1 tools after" in found.what) == ("warn", True)
    assert "Cursor waits 0.0001 s" in found.what


def test_a_variable_of_a_shell_is_missed_from_a_menu_but_on_windows_which_has_one_environment() -> None:
    env, entry = {"RUNAPI_TOKEN": KEY}, Entry(Place(HOSTS["cursor"], Path(), ("mcpServers",)), "runapi")
    found = _check_lacking(entry, ["RUNAPI_TOKEN"], Machine("macos", env, "/Users/ada"))
    assert found is not None
    assert (found.status, found.what[:12]) == ("warn", "RUNAPI_TOKEN")
    assert _check_lacking(entry, ["RUNAPI_TOKEN"], Machine("windows", env, r"C:\Users\ada")) is None


async def test_a_server_that_dies_is_told_with_its_last_words_and_without_the_key(ward: Ward) -> None:
    crash = "import os; sys.exit('No module named x, key ' + os.environ['RUNAPI_TOKEN'])"
    ward.starts("cursor", *ward.fake_server(first=crash))
    found = only(await ward.of("host", "cursor"))
    assert (found.status, "exit code 1" in found.what) == ("fail", True)
    assert "No module named x, key [key]" in found.what


@pytest.mark.parametrize(
    ("text", "status", "mend"),
    [
        ("{", "warn", "Correct it first. Until then runapi-mcp install cursor refuses to change it."),
        ('{"runapi": {', "fail", "Correct it first. Until then Cursor may not find this server in it."),
        ('{"a": ' + "[" * 5000, "warn", "Correct it first. Until then runapi-mcp install cursor"),
    ],
)
async def test_a_broken_host_config_is_told_and_the_others_are_still_seen(
    ward: Ward, text: str, status: str, mend: str
) -> None:
    ward.starts("zed", *ward.fake_server())
    ward.config("cursor").parent.mkdir()
    ward.config("cursor").write_text(text)
    findings = await ward.findings()
    seen = {finding.host: finding for finding in findings if finding.check == "host"}
    assert set(seen) == {"cursor", "zed"}
    assert (seen["cursor"].status, seen["zed"].status) == (status, "ok")
    assert "line 1" in seen["cursor"].what
    assert seen["cursor"].mend.startswith(mend)
    wrong = "1 to fix, 0" if status == "fail" else "Nothing keeps the server from working; 1"
    assert verdict(findings) == f"{wrong} to look at."


async def test_a_config_in_utf_16_that_names_this_server_is_a_failure(ward: Ward) -> None:
    ward.starts("claude-desktop", *ward.fake_server())
    path = ward.config("claude-desktop")
    path.write_bytes(path.read_text().encode("utf-16"))
    found = only(await ward.of("host", "claude-desktop"))
    assert (found.status, "is not UTF-8" in found.what) == ("fail", True)


FLAWS: list[tuple[dict[str, object], str, str]] = [
    ({"env": {"A=B": "x"}}, "fail", "has “A=B”, which is no name"),
    ({"env": {"A\0": "x"}}, "fail", "has “A”, which is no name"),
    ({"env": {"": "x"}}, "fail", "which is no name"),
    ({"env": {"A": "x\0y"}}, "fail", "gives “A” a character that no variable can hold"),
    ({"env": {"A": "\ud800"}}, "fail", "gives “A” a character that no variable can hold"),
    ({"env": {"A": None}}, "warn", "gives “A” null, where a text belongs"),
    ({"env": {"A": 5}}, "warn", "gives “A” a number, where a text belongs"),
    ({"env": {"A": False}}, "warn", "gives “A” false, where a text belongs"),
    ({"env": {"A": {}}}, "warn", "gives “A” something else, where a text belongs"),
    ({"args": ["\0"]}, "fail", "args holds a character that no program can be given"),
    ({"args": [0]}, "warn", "args holds a number, where a text belongs"),
]


@pytest.mark.parametrize(("more", "status", "what"), FLAWS, ids=[what for _, _, what in FLAWS])
async def test_what_a_host_does_not_take_in_an_entry_is_told_with_what_mends_it(
    ward: Ward, more: dict[str, object], status: str, what: str
) -> None:
    ward.starts("cursor", *ward.fake_server())
    config = json.loads(ward.config("cursor").read_text())
    entry = config["mcpServers"]["runapi"]
    for name, value in more.items():
        entry[name] = entry[name] + value if isinstance(value, list) else entry[name] | value
    ward.config("cursor").write_text(json.dumps(config))
    flaw, *rest = await ward.of("host", "cursor")
    assert (flaw.status, what in flaw.what, bool(flaw.mend)) == (status, True, True), flaw
    assert [finding.status for finding in rest] == ([] if status == "fail" else ["ok"])


async def test_a_goose_without_this_server_is_no_news(ward: Ward) -> None:
    ward.config("goose").parent.mkdir(parents=True)
    ward.config("goose").write_text(SAMPLES["goose"])
    assert not [finding for finding in await ward.findings() if finding.host]


async def test_what_the_project_names_is_started_in_the_project(ward: Ward) -> None:
    (ward.project / ".cursor").mkdir(parents=True)
    command, *args = ward.fake_server(first="import os\nif not os.getcwd().endswith('project'): sys.exit(3)")
    entry = {"command": command, "args": args}
    (ward.project / ".cursor" / "mcp.json").write_text(json.dumps({"mcpServers": {"runapi": entry}}))
    found = only(await ward.of("host", "cursor"))
    assert (found.status, found.what.startswith("“runapi” in .cursor/mcp.json lists")) == ("ok", True)


async def test_a_command_of_the_project_that_is_not_on_path_is_mended_for_everyone(ward: Ward) -> None:
    ward.env["PATH"] = "/nowhere"
    ward.project.mkdir()
    wish = Wish(LAUNCH, project=ward.project)
    ward.install("claude-code", wish)
    found = only(await ward.of("host", "claude-code"))
    assert (found.status, "not on the host's PATH" in found.what) == ("fail", True)
    assert "uv tool install" in found.mend


async def test_a_home_that_is_the_project_is_looked_at_once(ward: Ward) -> None:
    ward.starts("cursor", *ward.fake_server())
    ward.project.symlink_to(ward.home, target_is_directory=True)
    assert len(await ward.of("host", "cursor")) == 1


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
    ("command", "args", "found", "said"),
    [
        (r"C:\Program Files\uv\uvx.exe", ["runapi-mcp"], r"C:\Program Files\uv\uvx.exe", ""),
        ("cmd", ["/c", "uvx", "runapi-mcp"], r"C:\Windows\System32\cmd.exe", ""),
        ("runapi-mcp", [], r"C:\npm\runapi-mcp.CMD", "a batch file; not every host can start one"),
        ("runapi-mcp", [], None, "is not on the host's PATH"),
        (r"D:\gone\runapi-mcp.exe", [], None, "is not there any more"),
        (r"\gone\runapi-mcp.exe", [], None, "is not on the host's PATH"),
    ],
)
def test_a_command_of_windows_is_judged_as_windows_starts_it(
    command: str, args: list[str], found: str | None, said: str
) -> None:
    machine = Machine("windows", {"PATH": r"C:\Windows\System32;C:\npm"}, r"C:\Users\Ann Lee")
    place = Place(HOSTS["claude-desktop"], Path(), ("mcpServers",))
    entry = Entry(place, "runapi", Wiring(Launch(command, tuple(args))))
    finding = _check_command(entry, machine.env["PATH"], machine, lambda *_: found)
    assert (finding is not None, said in (finding.what if finding else "")) == (bool(said), True)


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
    env = build_env(HOSTS[host], wiring, ward.machine)
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
    assert "to fix" in ill.stdout.splitlines()[-1]
    assert KEY not in well.stdout + well.stderr


def test_certificates_that_cannot_be_read_are_a_finding_with_what_mends_it(ward: Ward) -> None:
    ward.env |= {"RUNAPI_BASE_URL": "https://runapi.example", "SSL_CERT_FILE": str(ward.home / "gone.pem")}
    ill = doctor(ward)
    assert (ill.returncode, ill.stderr) == (1, "")
    assert "✗ reach: The certificates that the environment names could not be read" in ill.stdout
    assert "→ Correct or unset SSL_CERT_FILE" in ill.stdout


async def test_what_claude_code_keeps_for_the_project_alone_is_started_too(ward: Ward) -> None:
    """`claude mcp add` puts it there unless it is told otherwise (career-ops-hq/career-ops#4392)."""
    ward.project.mkdir()
    here = {"command": sys.executable, "args": ["-m", "runapi_mcp"], "env": {"RUNAPI_TOKEN": KEY}}
    elsewhere = {"command": "/gone/runapi-mcp", "args": []}
    kept = {str(ward.project): here, "/elsewhere": elsewhere}
    projects = {folder: {"mcpServers": {"runapi": entry}} for folder, entry in kept.items()}
    ward.config("claude-code").write_text(json.dumps({"projects": projects}))
    found = only(await ward.of("host", "claude-code"))
    assert "“runapi” for this project alone lists 5 tools" in found.what


async def test_a_profile_of_vs_code_that_names_this_server_is_looked_at(ward: Ward) -> None:
    for name, command in (("5552b383", "/gone/runapi-mcp"), ("broken", "{")):
        file = ward.config("vscode").parent / "profiles" / name / "mcp.json"
        file.parent.mkdir(parents=True)
        entry = {"servers": {"runapi": {"command": command}}}
        file.write_text(command if command == "{" else json.dumps(entry))
    found = only(await ward.of("host", "vscode"))
    assert found.status == "fail"
    assert "5552b383" in found.what
    assert "--config" in found.mend


async def test_a_list_of_gemini_clis_that_leaves_this_server_out_is_a_fault(ward: Ward) -> None:
    ward.install("gemini-cli")
    path = ward.config("gemini-cli")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mcp": {"allowed": ["other"]}}))
    found = next(finding for finding in await ward.of("host", "gemini-cli") if finding.status == "fail")
    assert "mcp.allowed" in found.what


async def test_a_key_that_may_be_in_a_file_of_variables_is_not_missed(ward: Ward) -> None:
    del ward.env["RUNAPI_TOKEN"]
    ward.install("vscode")
    path = ward.config("vscode")
    config = json.loads(path.read_text())
    config["servers"]["runapi"]["envFile"] = "${workspaceFolder}/.env"
    path.write_text(json.dumps(config))
    assert only(await ward.of("host-key", "vscode")).status == "skipped"
