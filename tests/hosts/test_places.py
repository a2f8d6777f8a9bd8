"""Where each host keeps its config: a pure function of platform, environment and home."""

import subprocess
import sys
from pathlib import Path

import pytest

from runapi_mcp.hosts import HOSTS, Launch, Machine, Wiring, launcher
from runapi_mcp.hosts.entries import wiring_of
from runapi_mcp.hosts.formats import lookup

LINUX = Machine("linux", {}, "/home/ada")
MACOS = Machine("macos", {}, "/Users/ada")
WINDOWS = Machine("windows", {"APPDATA": r"C:\Users\ada\AppData\Roaming"}, r"C:\Users\ada")

PLACES = [
    (
        "claude-desktop",
        "/home/ada/.config/Claude/claude_desktop_config.json",
        "/Users/ada/Library/Application Support/Claude/claude_desktop_config.json",
        r"C:\Users\ada\AppData\Roaming\Claude\claude_desktop_config.json",
    ),
    (
        "claude-code",
        "/home/ada/.claude.json",
        "/Users/ada/.claude.json",
        r"C:\Users\ada\.claude.json",
    ),
    (
        "cursor",
        "/home/ada/.cursor/mcp.json",
        "/Users/ada/.cursor/mcp.json",
        r"C:\Users\ada\.cursor\mcp.json",
    ),
    (
        "vscode",
        "/home/ada/.config/Code/User/mcp.json",
        "/Users/ada/Library/Application Support/Code/User/mcp.json",
        r"C:\Users\ada\AppData\Roaming\Code\User\mcp.json",
    ),
    (
        "windsurf",
        "/home/ada/.codeium/windsurf/mcp_config.json",
        "/Users/ada/.codeium/windsurf/mcp_config.json",
        r"C:\Users\ada\.codeium\windsurf\mcp_config.json",
    ),
    (
        "zed",
        "/home/ada/.config/zed/settings.json",
        "/Users/ada/.config/zed/settings.json",
        r"C:\Users\ada\AppData\Roaming\Zed\settings.json",
    ),
    (
        "cline",
        "/home/ada/.cline/data/settings/cline_mcp_settings.json",
        "/Users/ada/.cline/data/settings/cline_mcp_settings.json",
        r"C:\Users\ada\.cline\data\settings\cline_mcp_settings.json",
    ),
    (
        "codex",
        "/home/ada/.codex/config.toml",
        "/Users/ada/.codex/config.toml",
        r"C:\Users\ada\.codex\config.toml",
    ),
    (
        "gemini-cli",
        "/home/ada/.gemini/settings.json",
        "/Users/ada/.gemini/settings.json",
        r"C:\Users\ada\.gemini\settings.json",
    ),
    (
        "goose",
        "/home/ada/.config/goose/config.yaml",
        "/Users/ada/.config/goose/config.yaml",
        r"C:\Users\ada\AppData\Roaming\Block\goose\config\config.yaml",
    ),
    (
        "opencode",
        "/home/ada/.config/opencode/opencode.jsonc",
        "/Users/ada/.config/opencode/opencode.jsonc",
        r"C:\Users\ada\.config\opencode\opencode.jsonc",
    ),
]


def test_every_host_has_its_places_here() -> None:
    assert [row[0] for row in PLACES] == list(HOSTS)


@pytest.mark.parametrize(("host", "linux", "macos", "windows"), PLACES)
def test_a_config_is_looked_for_where_its_host_keeps_it(
    host: str, linux: str, macos: str, windows: str
) -> None:
    found = [str(HOSTS[host].places(machine)[0]) for machine in (LINUX, MACOS, WINDOWS)]
    assert found == [linux, macos, windows]


@pytest.mark.parametrize(
    ("host", "variable", "place"),
    [
        ("codex", "CODEX_HOME", "/x/config.toml"),
        ("claude-code", "CLAUDE_CONFIG_DIR", "/x/.claude.json"),
        ("cline", "CLINE_DIR", "/x/data/settings/cline_mcp_settings.json"),
        ("opencode", "XDG_CONFIG_HOME", "/x/opencode/opencode.jsonc"),
        ("zed", "XDG_CONFIG_HOME", "/x/zed/settings.json"),
        ("goose", "XDG_CONFIG_HOME", "/x/goose/config.yaml"),
    ],
)
def test_a_variable_of_the_host_moves_its_config(host: str, variable: str, place: str) -> None:
    assert str(HOSTS[host].places(Machine("linux", {variable: "/x"}, "/home/ada"))[0]) == place
    on_macos = str(HOSTS[host].places(Machine("macos", {variable: "/x"}, "/Users/ada"))[0])
    assert on_macos == ("/Users/ada/.config/zed/settings.json" if host == "zed" else place)


def test_the_launcher_is_the_script_beside_the_interpreter() -> None:
    there = {"/venv/bin/runapi-mcp"}
    for uvx in (None, "/bin/uvx"):
        found = launcher("/venv/bin/python", exists=there.__contains__, which={"uvx": uvx}.get)
        assert found == Launch("/venv/bin/runapi-mcp")


@pytest.mark.parametrize(
    "fleeting",
    [
        "/home/ada/.cache/uv/archive-v0/Xy12/bin/python",
        "/home/ada/.cache/uv/environments-v2/runapi-mcp-1f/bin/python",
        r"C:\Users\ada\AppData\Local\uv\cache\archive-v0\Xy12\Scripts\python.exe",
    ],
)
def test_an_environment_that_uvx_made_for_one_run_is_not_what_a_host_starts(fleeting: str) -> None:
    found = launcher(fleeting, exists=lambda _: True, which={"uvx": "/home/ada/.local/bin/uvx"}.get)
    assert found == Launch("/home/ada/.local/bin/uvx", ("runapi-mcp",))
    which = {"uvx": "/bin/uvx"}.get
    found = launcher(fleeting, exists=lambda _: True, which=which, extra="keyring")
    assert found == Launch("/bin/uvx", ("--from", "runapi-mcp[keyring]", "runapi-mcp"))


@pytest.mark.parametrize("host", HOSTS)
def test_a_command_of_windows_comes_back_from_every_config_as_it_went_in(host: str) -> None:
    wiring = Wiring(
        Launch(
            "C:\\Users\\Ann Lee's\\bin\\runapi-mcp.exe",
            ("--allow-dir", "D:\\new,\\\\srv\\tests", "%HOME%", 'a"b'),
        ),
        {"RUNAPI_MCP_STORE": "C:\\Users\\Ann Lee"},
    )
    row = HOSTS[host]
    for before in ("", "\r\n"):
        text = row.format.merge(before, (*row.path, "runapi"), row.shape(wiring))
        assert wiring_of(lookup(row.format.read(text), (*row.path, "runapi"))) == wiring


def test_without_a_script_the_interpreter_itself_is_started() -> None:
    found = launcher("/usr/bin/python3", exists=lambda _: False, which=lambda _: None)
    assert found == Launch("/usr/bin/python3", ("-P", "-m", "runapi_mcp"))


def test_an_interpreter_that_is_started_in_a_project_imports_nothing_of_it(tmp_path: Path) -> None:
    for name in ("json", "mcp", "runapi_mcp", "signal"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('of the project')", encoding="utf-8")
    found = launcher(sys.executable, exists=lambda _: False, which=lambda _: None)
    command = [found.command, *found.args, "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("launch", "by_name"),
    [
        (Launch("/venv/bin/runapi-mcp", ("--hold", "9")), Launch("runapi-mcp", ("--hold", "9"))),
        (Launch(r"C:\Tools\runapi-mcp.exe"), Launch("runapi-mcp")),
        (
            Launch("/bin/uvx", ("--from", "runapi-mcp[keyring]", "runapi-mcp")),
            Launch("uvx", ("--from", "runapi-mcp[keyring]", "runapi-mcp")),
        ),
        (
            Launch("/usr/bin/python3", ("-P", "-m", "runapi_mcp", "--hold", "9")),
            Launch("runapi-mcp", ("--hold", "9")),
        ),
    ],
)
def test_what_goes_to_other_machines_is_started_by_its_name(launch: Launch, by_name: Launch) -> None:
    assert launch.by_name() == by_name


@pytest.mark.parametrize("packages", [("Other_1", "Claude_pzs8sxrjxfjjc"), ("Other_1",), ()])
def test_the_windows_package_of_claude_desktop_has_its_config_first(packages: tuple[str, ...]) -> None:
    env = {"APPDATA": r"C:\Users\ada\AppData\Roaming", "LOCALAPPDATA": r"C:\Users\ada\AppData\Local"}
    looked = list[str]()

    def names_in(folder: str) -> tuple[str, ...]:
        looked.append(folder)
        return packages

    first = str(HOSTS["claude-desktop"].places(Machine("windows", env, r"C:\Users\ada", names_in))[0])
    assert looked == [r"C:\Users\ada\AppData\Local\Packages"]
    inside = r"\Packages\Claude_pzs8sxrjxfjjc\LocalCache\Roaming\Claude\claude_desktop_config.json"
    assert first.endswith(inside) == (len(packages) == 2)
