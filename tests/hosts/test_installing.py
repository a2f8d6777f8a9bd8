"""install and uninstall, on configs as people have them."""

import json
import os
import stat
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from hosts.desk import WISH, Desk
from hosts.samples import SAMPLES
from runapi_mcp.errors import ConfigError, InputError
from runapi_mcp.hosts import HOSTS, Launch, Machine, find_entries, find_host, install, list_hosts
from runapi_mcp.hosts.formats import toml
from runapi_mcp.server.app import list_tools, write_instructions
from runapi_mcp.tools import TOOLS


@pytest.mark.parametrize("host", HOSTS)
def test_install_and_uninstall_leave_the_config_byte_identical(desk: Desk, host: str) -> None:
    path = desk.has(host)
    desk.install(host)
    assert find_entries(HOSTS[host], path)["runapi"].launch == WISH.launch
    desk.uninstall(host)
    assert path.read_bytes() == SAMPLES[host].encode()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("host", HOSTS)
def test_a_config_that_install_made_is_gone_after_uninstall(desk: Desk, host: str) -> None:
    desk.install(host)
    assert stat.S_IMODE(desk.config(host).stat().st_mode) == 0o600
    desk.uninstall(host)
    assert list(desk.config(host).parent.iterdir()) == []


@pytest.mark.parametrize("host", HOSTS)
def test_an_uninstall_keeps_what_was_changed_since_the_install(desk: Desk, host: str) -> None:
    path = desk.has(host)
    desk.install(host)
    changed = path.read_text().replace("/opt/tools/runapi-mcp", "/opt/elsewhere/runapi-mcp")
    new = {"JSON": "\n", "JSON with comments": "\n// later\n", "TOML": "\n# later\n", "YAML": "\n# later\n"}
    path.write_text(changed + new[HOSTS[host].format.name])
    desk.uninstall(host)
    assert not find_entries(HOSTS[host], path)
    assert path.read_text().endswith(new[HOSTS[host].format.name])
    assert (path.parent / f"{path.name}.before-runapi-mcp").read_bytes() == SAMPLES[host].encode()


SHAPES = [
    ("claude-desktop", {"command": "/x", "args": []}),
    ("claude-code", {"type": "stdio", "command": "/x", "args": [], "alwaysLoad": True}),
    ("cursor", {"command": "/x", "args": [], "env": {"RUNAPI_TOKEN": "${env:RUNAPI_TOKEN}"}}),
    ("vscode", {"type": "stdio", "command": "/x", "args": []}),
    ("windsurf", {"command": "/x", "args": [], "env": {"RUNAPI_TOKEN": "${env:RUNAPI_TOKEN}"}}),
    ("zed", {"source": "custom", "command": "/x", "args": []}),
    ("cline", {"command": "/x", "args": []}),
    ("codex", {"command": "/x", "args": [], "env_vars": ["RUNAPI_TOKEN"]}),
    ("gemini-cli", {"command": "/x", "args": [], "env": {"RUNAPI_TOKEN": "$RUNAPI_TOKEN"}}),
    (
        "goose",
        {
            "enabled": True,
            "type": "stdio",
            "name": "runapi",
            "description": "Gemini through RunAPI",
            "cmd": "/x",
            "args": [],
            "timeout": 300,
            "env_keys": ["RUNAPI_TOKEN"],
        },
    ),
    ("opencode", {"type": "local", "command": ["/x"], "enabled": True}),
]


@pytest.mark.parametrize(("host", "entry"), SHAPES)
def test_each_host_gets_an_entry_of_its_own_shape(desk: Desk, host: str, entry: dict[str, object]) -> None:
    desk.install(host, replace(WISH, launch=Launch("/x")))
    text = desk.config(host).read_text()
    match HOSTS[host].format.name:
        case "TOML":
            config = tomllib.loads(text)
        case "YAML":
            config = YAML(typ="safe", pure=True).load(text)
        case _:
            config = json.loads(text)
    for key in (*HOSTS[host].path, "runapi"):
        config = config[key]
    assert config == entry


def test_an_entry_written_by_hand_is_kept_as_it_was_and_not_put_back(desk: Desk) -> None:
    text = '{"mcpServers": {"runapi": {"command": "docker", "args": ["run", "runapi-mcp"]}, "a": {}}}'
    path = desk.has("cursor", text)
    desk.install("cursor")
    backup = path.with_name(f"{path.name}.before-runapi-mcp")
    assert backup.read_text() == text
    desk.uninstall("cursor")
    assert json.loads(path.read_text()) == {"mcpServers": {"a": {}}}
    assert backup.read_text() == text


def test_a_file_that_says_the_same_in_another_form_is_not_written_anew(desk: Desk) -> None:
    path = desk.has(
        "cursor",
        '{"mcpServers": {"runapi": {"args": ["--hold", "20"],"command": "/opt/tools/runapi-mcp",'
        ' "env": {"RUNAPI_TOKEN":"${env:RUNAPI_TOKEN}"}}}}',
    )
    before = path.read_text()
    desk.install("cursor")
    assert path.read_text() == before
    assert "already" in desk.said[-1]


DOTTED = 'model = "x"\nmcp_servers.runapi.command = "y"\n'


def test_a_codex_config_of_dotted_keys_alone_is_refused_and_left_alone(desk: Desk) -> None:
    path = desk.has("codex", DOTTED)
    for act in (desk.install, desk.uninstall):
        with pytest.raises(ConfigError, match="by hand"):
            act("codex")
    assert path.read_text() == DOTTED


DEEP = {
    "claude-desktop": '{"a": ' + "[" * 5000 + "]" * 5000 + "}",
    "cursor": '{"a": ' + "[" * 5000 + "]" * 5000 + "}",
    "codex": "a = " + "[" * 5000 + "]" * 5000 + "\n",
    # In one line, ruamel.yaml looks for a key in all of it, for seconds.
    "goose": "a: " + "[\n " * 2000 + "]" * 2000 + "\n",
}


@pytest.mark.parametrize("host", DEEP)
def test_a_config_nested_thousands_of_levels_deep_is_refused(desk: Desk, host: str) -> None:
    path = desk.has(host, DEEP[host])
    for act in (desk.install, desk.uninstall):
        with pytest.raises(ConfigError, match="nest"):
            act(host)
    assert path.read_text() == DEEP[host]
    assert {row.state for row in list_hosts(desk.machine) if row.host.id == host} == {"unreadable"}


@pytest.mark.parametrize("host", ["claude-desktop", "cursor", "codex", "goose"])
def test_how_deep_a_config_may_be_nested_does_not_depend_on_its_parser(desk: Desk, host: str) -> None:
    lead, tail = {"codex": ("a = ", "\n"), "goose": ("a: ", "\n")}.get(host, ('{"a": ', "}"))
    for levels in (150, 250):
        desk.has(host, lead + "[" * levels + "1" + "]" * levels + tail)
        if levels == 150:
            desk.install(host)
        else:
            with pytest.raises(ConfigError, match="nest"):
                desk.install(host)


def test_a_refusal_says_what_belongs_there_and_that_nothing_was_changed(desk: Desk) -> None:
    desk.has("cursor", "{")
    with pytest.raises(ConfigError, match="a name in double quotes should be there") as caught:
        desk.install("cursor")
    assert caught.value.advice == "Correct it first. Nothing was changed."


@pytest.mark.parametrize("host", HOSTS)
def test_a_broken_config_is_left_alone_and_the_message_names_it(desk: Desk, host: str) -> None:
    broken = '{"a": [1' if host != "codex" else "[a\n"
    path = desk.has(host, broken)
    for act in (desk.install, desk.uninstall):
        with pytest.raises(ConfigError, match=path.name) as caught:
            act(host)
        assert "broken" in caught.value.what
    assert path.read_text() == broken
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_the_owner_added_to_our_entry_survives_an_update(desk: Desk) -> None:
    path = desk.has("codex")
    desk.install("codex")
    limits = "startup_timeout_sec = 20\ntool_timeout_sec = 600.5\nenv = { RUNAPI_MCP_LOG = 'info' }\n"
    path.write_text(path.read_text() + limits)
    desk.install("codex", replace(WISH, launch=Launch("/new/runapi-mcp")))
    ours = tomllib.loads(path.read_text())["mcp_servers"]["runapi"]
    assert ours["command"] == "/new/runapi-mcp"
    assert ours["tool_timeout_sec"] == 600.5
    assert ours["env"] == {"RUNAPI_MCP_LOG": "info"}


def test_a_limit_that_the_owner_changed_survives_an_update(desk: Desk) -> None:
    path = desk.has("goose")
    desk.install("goose")
    path.write_text(
        path.read_text().replace("    timeout: 300\n    env_keys", "    timeout: 900\n    env_keys")
    )
    desk.install("goose", replace(WISH, launch=Launch("/new/runapi-mcp")))
    ours = YAML(typ="safe", pure=True).load(path.read_text())["extensions"]["runapi"]
    assert (ours["timeout"], ours["cmd"]) == (900, "/new/runapi-mcp")


def test_a_second_install_keeps_the_backup_of_the_first(desk: Desk) -> None:
    path = desk.has("cursor")
    desk.install("cursor")
    desk.install("cursor", replace(WISH, launch=Launch("/new/runapi-mcp")))
    desk.uninstall("cursor")
    assert path.read_bytes() == SAMPLES["cursor"].encode()


def test_installing_what_is_there_already_writes_nothing(desk: Desk) -> None:
    path = desk.has("zed")
    desk.install("zed")
    before = path.stat().st_mtime_ns
    desk.install("zed")
    assert path.stat().st_mtime_ns == before
    assert "already" in desk.said[-1]


def test_a_linked_config_stays_a_link_and_keeps_its_permissions(desk: Desk, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "cursor.json"
    real.parent.mkdir()
    real.write_text(SAMPLES["cursor"])
    real.chmod(0o640)
    link = desk.config("cursor")
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    desk.install("cursor")
    assert link.is_symlink()
    assert "runapi" in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert stat.S_IMODE((real.parent / "cursor.json.before-runapi-mcp").stat().st_mode) == 0o640
    desk.uninstall("cursor")
    assert real.read_text() == SAMPLES["cursor"]


def test_a_config_that_changes_while_it_is_edited_is_not_overwritten(desk: Desk) -> None:
    path = desk.has("cursor")

    def meddle(line: str) -> None:
        if line.startswith("---"):
            path.write_text("{}")

    with pytest.raises(ConfigError, match="changed while"):
        install(HOSTS["cursor"], desk.machine, WISH, meddle)
    assert path.read_text() == "{}"


def test_what_is_no_regular_file_is_not_read(desk: Desk) -> None:
    if sys.platform == "win32":
        pytest.skip("a FIFO is a thing of POSIX")
    path = desk.config("cursor")
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="regular file"):
        desk.install("cursor")


@pytest.mark.skipif(os.name == "nt", reason="making links takes rights on Windows")
def test_a_link_that_leads_back_to_itself_is_told(desk: Desk) -> None:
    path = desk.config("cursor")
    path.parent.mkdir(parents=True)
    path.symlink_to(path)
    with pytest.raises(ConfigError, match="mcp"):
        desk.install("cursor")
    assert {row.state for row in list_hosts(desk.machine) if row.host.id == "cursor"} == {"unreadable"}


def test_a_place_that_cannot_be_looked_at_is_told(desk: Desk) -> None:
    desk.machine = replace(desk.machine, env={"CODEX_HOME": "/" + "x" * 5000})
    assert {row.state for row in list_hosts(desk.machine) if row.host.id == "codex"} == {"unreadable"}
    with pytest.raises(ConfigError, match="cannot be used"):
        desk.install("codex")


def test_a_config_that_is_not_utf8_is_left_alone(desk: Desk) -> None:
    path = desk.has("cursor")
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ConfigError, match="UTF-8"):
        desk.install("cursor")


def test_the_extension_of_cline_is_found_where_only_it_is(desk: Desk) -> None:
    extension = Path(HOSTS["cline"].places(desk.machine)[1])
    extension.parent.mkdir(parents=True)
    extension.write_text("{}")
    assert desk.config("cline") == extension


def test_list_says_what_is_where(desk: Desk) -> None:
    desk.has("cursor")
    desk.has("zed", "{")
    desk.install("codex")
    rows = {row.host.id: row for row in list_hosts(desk.machine)}
    states = {name: row.state for name, row in rows.items() if row.state != "no config"}
    assert states == {"cursor": "not installed", "zed": "unreadable", "codex": "installed"}
    assert list(rows) == list(HOSTS)
    assert rows["codex"].path == desk.config("codex")


def test_an_unknown_host_is_answered_with_the_one_that_is_meant() -> None:
    with pytest.raises(InputError, match="Did you mean codex"):
        find_host("codexx")


def test_another_config_can_be_named(desk: Desk, tmp_path: Path) -> None:
    project = tmp_path / "project.json"
    desk.install("cursor", replace(WISH, config=project))
    assert "runapi" in project.read_text()
    assert not desk.config("cursor").exists()


def test_a_missing_yaml_library_is_told_with_what_mends_it_and_print_still_works(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = desk.has("goose")
    monkeypatch.setitem(sys.modules, "ruamel.yaml", None)
    with pytest.raises(ConfigError, match=r"ruamel\.yaml.* is not installed") as caught:
        desk.install("goose")
    for command in ("uv tool upgrade", "pipx reinstall", "pip install"):
        assert command in caught.value.advice
    assert path.read_text() == SAMPLES["goose"]
    desk.install("goose", replace(WISH, only_print=True))
    assert desk.said[-1].startswith("extensions:")
    desk.install("codex")
    assert desk.config("codex").exists()


def test_tools_that_are_not_to_be_loaded_at_once_are_not(desk: Desk) -> None:
    desk.install("claude-code")
    desk.install("claude-code", replace(WISH, always_load=False))
    entry = json.loads(desk.config("claude-code").read_text())["mcpServers"]["runapi"]
    assert "alwaysLoad" not in entry
    assert "--no-always-load" in desk.heard


def test_what_its_tools_cost_is_said_before_anything_is_written(desk: Desk) -> None:
    tools = [
        {
            "name": f"mcp__runapi__{tool.name}",
            "description": tool.description,
            "input_schema": tool.input_schema,
        }
        for tool in list_tools()
    ]
    said = len(write_instructions(TOOLS.values()))
    whole = len(json.dumps(tools, ensure_ascii=False, separators=(",", ":"))) + said
    about = len(json.dumps([tool["name"] for tool in tools])) + said
    desk.install("claude-code")
    assert f"about {round(whole / 4, -2):,.0f} tokens" in desk.heard
    assert f"what they are for, about {round(about / 4, -2):,.0f}" in desk.heard
    assert desk.heard.index("--no-always-load") < desk.heard.index("Wrote ")


def test_a_config_that_was_made_read_only_stays_as_it_is(desk: Desk) -> None:
    path = desk.has("cursor")
    path.chmod(0o444)
    with pytest.raises(ConfigError, match="is read-only"):
        desk.install("cursor")
    assert path.read_bytes() == SAMPLES["cursor"].encode()
    assert list(path.parent.iterdir()) == [path]
    assert not desk.heard, "what is shown of a change that is not made"
    path.chmod(0o644)
    desk.install("cursor")
    path.chmod(0o444)
    with pytest.raises(ConfigError, match="is read-only"):
        desk.uninstall("cursor")


@pytest.mark.parametrize(
    ("host", "text", "said"),
    [
        (
            "claude-code",
            '{\n  // mine\n  "mcpServers": {}\n}',
            "column 3: this host reads no comments",
        ),
        ("claude-desktop", '{"mcpServers": {},}', "no comma after the last of a list"),
        ("claude-desktop", '{"mcpServers" {}}', "line 1, column 15: "),
        ("claude-desktop", '{\u00a0"mcpServers": {}}', "not no-break space (U+00A0)"),
        ("cursor", "{“mcpServers”: {}}", "not left double quotation mark (U+201C)"),
    ],
)
def test_a_broken_config_is_told_in_words_that_can_be_looked_for(
    desk: Desk, host: str, text: str, said: str
) -> None:
    path = desk.has(host, text)
    with pytest.raises(ConfigError) as refused:
        desk.install(host)
    assert said in refused.value.what
    assert path.read_text(encoding="utf-8") == text


def test_a_byte_order_mark_goes_where_a_host_does_not_read_it(desk: Desk) -> None:
    path = desk.has("claude-desktop", "\ufeff" + SAMPLES["claude-desktop"])
    desk.install("claude-desktop")
    assert not path.read_bytes().startswith(b"\xef\xbb\xbf")
    json.loads(path.read_bytes())


def test_a_byte_order_mark_stays_where_a_host_reads_it(desk: Desk) -> None:
    path = desk.has("cursor", "\ufeff" + SAMPLES["cursor"])
    desk.install("cursor")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    desk.uninstall("cursor")
    assert path.read_bytes() == ("\ufeff" + SAMPLES["cursor"]).encode()


def test_two_claudes_are_told_apart() -> None:
    with pytest.raises(InputError, match=r"claude-desktop, the app, and claude-code"):
        find_host("claude")


@pytest.mark.parametrize("host", ["claude-desktop", "cursor"])
def test_an_entry_that_is_null_is_replaced_and_not_doubled(desk: Desk, host: str) -> None:
    path = desk.has(host, '{"mcpServers": {"runapi": null, "other": {}}}')
    desk.install(host)
    assert path.read_text().count('"runapi":') == 1
    assert json.loads(path.read_text())["mcpServers"]["other"] == {}


@pytest.mark.parametrize(
    ("host", "old", "kept"),
    [
        (
            "codex",
            '[mcp_servers.runapi]\ncommand = "/old"\nenv_vars = ["HTTPS_PROXY", "RUNAPI_API_KEY"]\n',
            ["RUNAPI_TOKEN", "HTTPS_PROXY"],
        ),
        (
            "codex",
            '[mcp_servers.runapi]\ncommand = "/old"\nenv_vars = [{ name = "HTTPS_PROXY" }]\n',
            ["RUNAPI_TOKEN", "HTTPS_PROXY"],
        ),
        (
            "goose",
            "extensions:\n  runapi:\n    cmd: /old\n    env_keys: [RUNAPI_TOKEN, HTTPS_PROXY]\n",
            ["RUNAPI_TOKEN", "HTTPS_PROXY"],
        ),
    ],
)
def test_what_else_a_host_is_to_hand_on_stays(desk: Desk, host: str, old: str, kept: list[str]) -> None:
    """Codex and Goose hand on nothing that is not named: without its proxy a server reaches nobody."""
    path = desk.has(host, old)
    desk.install(host)
    assert list(find_entries(HOSTS[host], path)["runapi"].forward) == kept


@pytest.mark.parametrize(
    ("host", "old"),
    [
        ("opencode", '{"mcp": {"runapi": {"type": "local", "command": ["/old"], "enabled": false}}}'),
        ("cline", '{"mcpServers": {"runapi": {"command": "/old", "disabled": true}}}'),
        ("goose", "extensions:\n  runapi:\n    enabled: false\n    cmd: /old\n"),
    ],
)
def test_an_entry_that_stays_switched_off_is_told_of(desk: Desk, host: str, old: str) -> None:
    path = desk.has(host, old)
    for _ in range(2):  # the second changes nothing, and it is off all the same
        desk.said.clear()
        desk.install(host)
        assert "switched off" in desk.heard
    assert find_entries(HOSTS[host], path)["runapi"].off


def test_opencode_is_written_to_the_file_that_it_goes_by(desk: Desk) -> None:
    """It reads opencode.json too, and then goes by opencode.jsonc where they differ."""
    counts = desk.has("opencode", '{\n  // mine\n  "mcp": {},\n}\n')
    other = counts.with_name("opencode.json")
    other.write_text('{"mcp": {"runapi": {"type": "local", "command": ["/old"]}}}')
    desk.install("opencode")
    assert find_entries(HOSTS["opencode"], counts)["runapi"].launch == WISH.launch
    assert f"{other} has an entry of this name too" in desk.heard
    desk.said.clear()
    desk.uninstall("opencode")
    assert f"still in {other}" in desk.heard
    desk.uninstall("opencode", replace(WISH, config=other))
    assert not find_entries(HOSTS["opencode"], other)


def test_a_lone_config_of_opencode_is_not_doubled(desk: Desk) -> None:
    lone = desk.config("opencode").with_name("opencode.json")
    lone.parent.mkdir(parents=True)
    lone.write_text("{}")
    desk.install("opencode")
    assert "runapi" in find_entries(HOSTS["opencode"], lone)
    assert not lone.with_name("opencode.jsonc").exists()


def test_an_entry_of_a_project_alone_in_claude_codes_own_config_is_told_of(desk: Desk) -> None:
    """`claude mcp add` makes it, and in that project it goes before what install writes."""
    other, ours = '{"mcpServers": {"runapi": {"command": "/old"}}}', '{"mcpServers": {}}'
    path = desk.has("claude-code", f'{{"projects": {{"/home/ada/one": {other}, "/home/ada/two": {ours}}}}}')
    desk.install("claude-code")
    assert "In /home/ada/one Claude Code goes by another entry" in desk.heard
    assert "/home/ada/two" not in desk.heard
    for _ in range(2):  # the second finds no entry for all projects
        desk.said.clear()
        desk.uninstall("claude-code")
        assert "For /home/ada/one alone it is still there" in desk.heard
    assert "/old" in path.read_text()


def test_profiles_and_builds_of_vs_code_that_have_a_config_of_their_own_are_told_of(desk: Desk) -> None:
    own = desk.config("vscode")
    profile = own.parent / "profiles" / "5552b383" / "mcp.json"
    insiders = own.parents[2] / "Code - Insiders" / "User" / "mcp.json"
    for file in (profile, insiders):
        file.parent.mkdir(parents=True)
        file.write_text('{"servers": {}}')
    desk.install("vscode")
    assert f"--config {profile}" in desk.heard
    assert f"--config {insiders}" in desk.heard
    desk.install("vscode", replace(WISH, config=profile))
    desk.said.clear()
    desk.uninstall("vscode")
    assert f"still in {profile}" in desk.heard
    assert str(insiders) not in desk.heard


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"allowed": ["other"]}, "mcp.allowed"),
        ({"excluded": ["runapi"]}, "mcp.excluded"),
        ({"allowed": ["runapi"], "excluded": ["other"]}, ""),
        ({"allowed": None}, ""),
        (None, ""),
    ],
)
def test_a_list_that_keeps_gemini_cli_from_starting_it_is_told_of(
    desk: Desk, lists: object, said: str
) -> None:
    desk.has("gemini-cli", json.dumps({"mcp": lists}))
    desk.install("gemini-cli")
    assert (f"But {said}" in desk.heard) == bool(said)


def test_null_is_no_servers_yet(desk: Desk) -> None:
    path = desk.has("cursor", '{\n  "mcpServers": null,\n  "a": 1 // mine\n}\n')
    desk.install("cursor")
    assert find_entries(HOSTS["cursor"], path)["runapi"].launch == WISH.launch
    assert '"a": 1 // mine' in path.read_text()


def test_a_table_behind_a_byte_order_mark_is_found(desk: Desk) -> None:
    path = desk.has("codex", '\ufeff[mcp_servers.runapi]\ncommand = "/old"\n\n[tui]\nx = 1\n')
    desk.install("codex")
    assert find_entries(HOSTS["codex"], path)["runapi"].launch == WISH.launch
    desk.uninstall("codex")
    assert path.read_text().startswith("\ufeff")
    assert tomllib.loads(path.read_text().removeprefix("\ufeff")) == {"tui": {"x": 1}}


def test_of_thousands_of_tables_only_ours_is_looked_at_closely(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Codex keeps one for each folder it was run in; each look takes as long as all that stands before."""
    folders = "".join(f'[projects."/home/ada/{n}"]\ntrust_level = "trusted"\n' for n in range(2_000))
    desk.has("codex", f'{folders}[mcp_servers.runapi]\ncommand = "/old"\n{folders.replace("ada", "bob")}')
    looked: list[int] = []
    look = toml._is_header

    def noted(text: str, at: int) -> bool:
        looked.append(at)
        return look(text, at)

    monkeypatch.setattr(toml, "_is_header", noted)
    desk.install("codex")
    assert 0 < len(looked) < 50


@pytest.mark.parametrize("env", ["", ', "env": {"RUNAPI_TOKEN": "${env:RUNAPI_TOKEN}", "A": "1"}'])
def test_a_key_in_a_file_of_variables_is_not_put_behind_a_reference(desk: Desk, env: str) -> None:
    """What `env` says goes before the file, and a variable that is not set is an empty text."""
    path = desk.has("cursor", f'{{"mcpServers": {{"runapi": {{"command": "/old", "envFile": "/e"{env}}}}}}}')
    desk.install("cursor")
    wiring = find_entries(HOSTS["cursor"], path)["runapi"]
    assert (wiring.launch, wiring.env_file) == (WISH.launch, "/e")
    assert wiring.env == ({"A": "1"} if env else {})
    desk.install("cursor", replace(WISH, key_variable="MY_KEY"))  # they asked for it
    assert find_entries(HOSTS["cursor"], path)["runapi"].env["RUNAPI_TOKEN"] == "${env:MY_KEY}"


@pytest.mark.parametrize(("host", "told"), [("claude-desktop", True), ("cursor", True), ("codex", False)])
def test_in_wsl_it_is_told_that_a_host_on_windows_reads_another_file(
    tmp_path: Path, host: str, *, told: bool
) -> None:
    inside = Desk(Machine("linux", {"WSL_DISTRO_NAME": "Ubuntu"}, str(tmp_path / "wsl")))
    outside = Desk(Machine("linux", {}, str(tmp_path / "linux")))
    for desk in (inside, outside):
        desk.install(host)
    assert ("wsl.exe" in inside.heard) == told
    assert "wsl.exe" not in outside.heard
