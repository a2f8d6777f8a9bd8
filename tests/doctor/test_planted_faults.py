"""Ten faults, planted one at a time: each is found, and said with what mends it."""

import re
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import anyio
import pytest
from sockets import Peer, raw_server, refused_url

from doctor.ward import Ward, only
from runapi_mcp import __version__
from runapi_mcp.doctor import verdict
from runapi_mcp.doctor.local import check_launcher, check_proxy, check_store
from runapi_mcp.generations.registry import Generations
from runapi_mcp.generations.store import shared_store
from runapi_mcp.hosts import Launch, Machine, Wish
from runapi_mcp.models import SEARCHING
from runapi_mcp.request import Caller, Run
from runapi_mcp.settings import from_env
from runapi_mcp.sim import SeenCall, Simulator
from runapi_mcp.tools import TOOLS
from runapi_mcp.upstream.client import Upstream

Admit = Callable[..., Ward]
HTML = b"<!doctype html><html><title>Sign in to the network</title></html>"


def test_where_a_host_from_a_menu_would_not_find_the_launcher_that_is_said() -> None:
    machine = Machine("linux", {"PATH": "/home/ada/.local/bin:/usr/bin"}, "/home/ada")
    launch = Launch("/home/ada/.local/bin/runapi-mcp")

    def find(_name: str, path: str) -> str | None:
        return launch.command if "/home/ada/.local/bin" in path else None

    found = check_launcher(launch, machine, find)
    assert (found.status, "a host started from a menu would not find it" in found.what) == ("ok", True)
    everywhere = check_launcher(launch, machine, lambda _name, _path: launch.command)
    assert (everywhere.status, everywhere.what) == ("ok", launch.command)


@pytest.fixture
def admit(tmp_path: Path, sim: Simulator) -> Admit:
    def ward(base_url: str = sim.base_url, **env: str) -> Ward:
        return Ward(tmp_path, base_url, env)

    return ward


def answering(head: bytes, body: bytes) -> Callable[[Peer, bytes], Awaitable[None]]:
    async def answer(peer: Peer, _asked: bytes) -> None:
        await peer.say(head + b"content-length: %d\r\n\r\n" % len(body) + body)

    return answer


async def test_a_healthy_patient_has_nothing_to_mend(admit: Admit) -> None:
    ward = admit()
    ward.starts("cursor", *ward.fake_server())
    findings = await ward.findings()
    # The simulator does not say what time it is; a clock is tried below. A search is billed.
    assert {f.check for f in findings if f.status != "ok"} == {"clock", "searches"}, findings
    assert [f.check for f in findings] == [
        *("python", "versions", "launcher", "key", "proxy", "store", "reach", "clock", "models"),
        *("defaults", "defaults", "defaults", "searches", "call"),
        *("host-key", "host"),
    ]
    assert "first byte after" in next(f.what for f in findings if f.check == "call")


async def test_a_wrong_path_is_found(admit: Admit) -> None:
    ward = admit(PATH="/nowhere")
    ward.starts("cursor", "runapi-mcp")
    launcher = only(await ward.of("launcher"))
    assert launcher.status == "warn"
    assert str(Path(sys.executable).parent) in launcher.mend
    found = only(await ward.of("host", "cursor"))
    assert (found.status, "not on the host's PATH" in found.what) == ("fail", True)
    assert "runapi-mcp install cursor" in found.mend


async def test_a_name_that_only_a_shell_finds_is_found(admit: Admit) -> None:
    ward = admit()
    ward.starts("cursor", "runapi-mcp", "--version")
    found = (await ward.of("host", "cursor"))[0]
    assert (found.status, "bare PATH" in found.what) == ("warn", True)


async def test_a_missing_key_is_found(admit: Admit) -> None:
    found = only(await admit(RUNAPI_TOKEN="").of("key"))
    assert found.status == "fail"
    assert "set RUNAPI_TOKEN" in found.mend


async def test_where_only_a_hosts_config_has_the_key_that_one_is_tried(admit: Admit, sim: Simulator) -> None:
    ward = admit(RUNAPI_TOKEN="")
    ward.starts("cursor", *ward.fake_server())
    findings = await ward.findings()
    (key,) = (finding for finding in findings if finding.check == "key")
    assert (key.status, "that of Cursor's config" in key.what) == ("ok", True)
    assert [f.status for f in findings if f.check == "models"] == ["ok"]
    assert verdict(findings) == "Nothing is wrong."


async def test_a_key_with_a_line_break_is_found(admit: Admit) -> None:
    found = only(await admit(RUNAPI_TOKEN="sk-canary\n-0123456789").of("key"))
    assert (found.status, "line break" in found.what) == ("fail", True)
    assert "Copy the key again" in found.mend


@pytest.mark.parametrize("path", ["/elsewhere", "/v1/elsewhere"])
async def test_a_wrong_base_url_is_found(admit: Admit, sim: Simulator, path: str) -> None:
    found = only(await admit(f"{sim.base_url}{path}").of("reach"))
    assert (found.status, "404" in found.what) == ("fail", True)
    assert "https://runapi.ai" in found.mend


async def test_a_base_url_that_is_none_is_found(admit: Admit) -> None:
    found = only(await admit("http://runapi.example").of("settings"))
    assert found.status == "fail"
    assert "https://" in found.mend


async def test_a_refused_port_is_found(admit: Admit) -> None:
    url = refused_url()
    found = only(await admit(url).of("reach"))
    assert (found.status, "refused" in found.what) == ("fail", True)
    assert url in found.mend


async def test_a_stale_wheel_is_found(admit: Admit) -> None:
    ward = admit()
    ward.versions["runapi-mcp"] = "0.0.9"
    ward.starts("zed", *ward.fake_server(version="0.0.9"))
    found = only(await ward.of("versions"))
    assert (found.status, "stale" in found.what) == ("warn", True)
    assert "Install it again" in found.mend
    started = (await ward.of("host", "zed"))[-1]
    assert (started.status, started.what) == (
        "warn",
        f"Its config starts runapi-mcp 0.0.9, a stale one: this is {__version__}.",
    )
    assert "runapi-mcp install zed" in started.mend


async def test_a_missing_dependency_is_found(admit: Admit) -> None:
    ward = admit()
    ward.versions["httpx-sse"] = ""
    found = only(await ward.of("versions"))
    assert (found.status, "httpx-sse is not installed" in found.what) == ("fail", True)


async def test_a_host_config_that_points_at_a_removed_venv_is_found(admit: Admit, tmp_path: Path) -> None:
    ward = admit()
    ward.starts("windsurf", str(tmp_path / "gone" / "bin" / "runapi-mcp"))
    found = only(await ward.of("host", "windsurf"))
    assert (found.status, "not there any more" in found.what) == ("fail", True)
    assert "runapi-mcp install windsurf" in found.mend


async def test_a_script_whose_interpreter_is_gone_is_found(admit: Admit, tmp_path: Path) -> None:
    ward = admit()
    script = tmp_path / "runapi-mcp"
    script.write_text(f"#!{tmp_path}/gone/bin/python\n")
    script.chmod(0o755)
    ward.starts("cursor", str(script))
    found = only(await ward.of("host", "cursor"))
    assert (found.status, "could not be started" in found.what) == ("fail", True)


def test_a_proxy_of_the_systems_own_settings_is_seen_without_its_password() -> None:
    system = {"https": "http://me:pass@10.0.0.1:3128", "no": "example.com"}
    assert check_proxy({}, "https://runapi.ai", system).what == "the system's https=http://…@10.0.0.1:3128"
    assert (
        check_proxy({"HTTPS_PROXY": "http://b"}, "https://runapi.ai", system).what == "HTTPS_PROXY=http://b"
    )
    assert check_proxy({}, "https://runapi.ai", {}).what == "none is set"


def test_why_answers_end_with_the_server_is_said_with_what_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    assert check_store(from_env({"RUNAPI_MCP_STORE": str(tmp_path / "state")}), {}).status == "ok"
    found = check_store(from_env({"RUNAPI_MCP_STORE": str(taken / "state")}), {})
    assert (found.status, "RUNAPI_MCP_STORE" in found.mend) == ("warn", True)
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    found = check_store(from_env({"RUNAPI_MCP_STORE": str(tmp_path / "state")}), {})
    assert found.what == "Handles end with the server: this Python has no sqlite3."
    assert (found.status, "a Python that has SQLite" in found.mend) == ("warn", True)


async def test_a_proxy_that_answers_html_is_found(admit: Admit, monkeypatch: pytest.MonkeyPatch) -> None:
    head = b"HTTP/1.1 403 Forbidden\r\ncontent-type: text/html\r\n"
    async with raw_server(answering(head, HTML)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.base_url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        ward = admit("https://runapi.example", HTTPS_PROXY=proxy.base_url.replace("//", "//me:pass@"))
        findings = await ward.findings()
    reach = only([f for f in findings if f.check == "reach"])
    assert (reach.status, reach.move) == ("fail", "your network's")
    assert "proxy" in reach.what
    assert "HTTPS_PROXY" in reach.mend
    assert proxy.requests[0].startswith(b"CONNECT runapi.example:443")
    shown = only([f for f in findings if f.check == "proxy"])
    assert "…@127.0.0.1" in shown.what
    assert "pass" not in shown.what


@pytest.mark.parametrize(
    ("variable", "value"),
    [("HTTPS_PROXY", "socks9://proxy.example"), ("ALL_PROXY", "http://pass:word@proxy.example:no-port")],
)
async def test_a_proxy_that_cannot_be_used_is_found(
    admit: Admit, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    findings = await admit("https://runapi.example", **{variable: value}).findings()
    found = only([finding for finding in findings if finding.check == "reach"])
    assert (found.status, found.move) == ("fail", "yours")
    assert found.mend.startswith("Correct HTTPS_PROXY or ALL_PROXY")
    assert "word" not in repr(findings)


async def test_a_runapi_that_fails_without_a_word_is_found(admit: Admit) -> None:
    async with raw_server(answering(b"HTTP/1.1 503 Busy\r\n", b"")) as server:
        found = only(await admit(server.base_url).of("reach"))
    assert (found.status, found.move) == ("fail", "RunAPI's")
    assert found.what.endswith("answered 503.")


async def test_a_login_page_in_place_of_runapi_is_found(admit: Admit) -> None:
    async with raw_server(answering(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n", HTML)) as page:
        found = only(await admit(page.base_url).of("reach"))
    assert (found.status, "web page" in found.what) == ("fail", True)


@pytest.mark.parametrize(
    ("skew", "status", "said"),
    [
        (timedelta(hours=2), "fail", "ahead"),
        (timedelta(minutes=-5), "warn", "behind"),
        (timedelta(), "ok", ""),
    ],
)
async def test_a_clock_that_is_off_is_found(admit: Admit, skew: timedelta, status: str, said: str) -> None:
    date = format_datetime(datetime.now(UTC), usegmt=True).encode()
    head = b"HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ndate: %b\r\n" % date
    async with raw_server(answering(head, b"{}")) as server:
        ward = admit(server.base_url)
        ward.skew = skew
        found = only(await ward.of("clock"))
    assert (found.status, said in found.what) == (status, True)
    assert status == "ok" or "NTP" in found.mend


async def test_a_model_that_is_gone_is_found(admit: Admit) -> None:
    ward = admit(RUNAPI_MCP_MODEL="gemini-1.0-gone")
    found = (await ward.of("defaults"))[0]
    assert (found.status, "gemini-1.0-gone" in found.what) == ("fail", True)
    assert "RUNAPI_MCP_MODEL" in found.mend
    assert "gemini-3-flash-preview" in found.mend
    assert "unset it" in found.mend
    assert not ward.asked


# ---------------------------------------------------------------- models and where they are served


async def test_a_default_that_is_not_listed_is_no_fault_and_says_what_is_asked_instead(
    admit: Admit, sim: Simulator
) -> None:
    sim.roster.gone |= dict.fromkeys(("gemini-3-flash-preview", "gemini-flash-latest"), 410)
    ward = admit()
    found = (await ward.of("defaults"))[0]
    assert (found.status, found.mend[:20]) == ("warn", "Nothing need be done")
    assert "answers may go to gemini-3.6-flash" in found.what
    called = only(await ward.of("call"))
    assert called.status == "warn"
    assert "Answered by gemini-3.6-flash" in called.what


async def test_defaults_that_are_all_gone_are_found_with_what_there_is(admit: Admit, sim: Simulator) -> None:
    sim.roster.gone |= dict.fromkeys(SEARCHING, 404)
    found = [f for f in await admit().of("defaults") if f.status == "fail"]
    assert "None of the models that searches go to" in only(found).what
    assert "Set RUNAPI_MCP_SEARCH_MODEL to one that is: " in only(found).mend


async def test_a_model_that_was_set_and_has_a_date_is_told_with_its_successor(admit: Admit) -> None:
    found = await admit(RUNAPI_MCP_MODEL="gemini-2.5-pro").of("defaults")
    ending = only([f for f in found if f.status == "warn"])
    assert "2026-12-01" in ending.what
    assert ending.mend.startswith("Unset RUNAPI_MCP_MODEL")
    assert "gemini-3.5-flash-lite" in ending.mend


async def test_another_model_that_answers_is_found(admit: Admit, sim: Simulator) -> None:
    sim.roster.swapped["gemini-3-flash-preview"] = "gemini-3.5-flash-lite"
    found = only(await admit().of("call"))
    assert (found.status, "“gemini-3.5-flash-lite” answered" in found.what) == ("warn", True)
    assert "RUNAPI_MCP_MODEL" in found.mend


async def test_a_model_that_lacks_what_is_asked_is_found(admit: Admit, sim: Simulator) -> None:
    sim.roster.unable.add("gemini-3-flash-preview")
    assert "Answered by gemini-3.6-flash" in only(await admit().of("call")).what
    found = only(await admit(RUNAPI_MCP_MODEL="gemini-3-flash-preview").of("call"))
    assert found.status == "fail"
    assert "set RUNAPI_MCP_MODEL=" in found.mend


@pytest.mark.parametrize("says", ["No route {}.", "Not Found"])
async def test_a_runapi_that_serves_v1_only_is_in_order(admit: Admit, sim: Simulator, says: str) -> None:
    sim.roster.roots, sim.roster.no_route = ("/v1",), says
    findings = await admit().findings()
    reach = only([f for f in findings if f.check == "reach"])
    assert (reach.status, "at /v1 alone" in reach.what) == ("ok", True)
    called = only([f for f in findings if f.check == "call"])
    assert (called.status, "at /v1:" in called.what) == ("ok", True)


async def test_a_path_that_was_set_and_is_not_there_is_found_with_the_one_that_is(
    admit: Admit, sim: Simulator
) -> None:
    sim.roster.roots = ("/v1",)
    found = only(await admit(RUNAPI_CHAT_PATH="/v1beta/openai").of("reach"))
    assert (found.status, found.move) == ("fail", "yours")
    assert "Unset RUNAPI_CHAT_PATH, or set it to /v1" in found.mend


@pytest.mark.parametrize("status", [404, 503])
async def test_a_list_that_is_away_is_found(admit: Admit, sim: Simulator, status: int) -> None:
    sim.roster.lists_away = status
    found = only(await admit().of("reach"))
    assert found.status == "fail"
    assert ("minute" in found.mend) == (status == 503)


async def test_a_model_that_is_busy_is_runapis_affair(admit: Admit, sim: Simulator) -> None:
    sim.play("unavailable")
    found = only(await admit().of("call"))
    assert (found.status, found.move) == ("fail", "RunAPI's")


async def test_a_key_that_runapi_refuses_is_found(admit: Admit) -> None:
    refusal = b'{"error": {"message": "Incorrect API key: sk-canary-0123456789", "code": 401}}'
    head = b"HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\n"
    async with raw_server(answering(head, refusal)) as server:
        found = only(await admit(server.base_url).of("models"))
    assert (found.status, found.move) == ("fail", "yours")
    assert "RUNAPI_TOKEN" in found.mend


async def test_no_call_is_made_without_consent(admit: Admit, sim: Simulator) -> None:
    ward = admit()
    ward.consents = False
    assert only(await ward.of("call")).status == "skipped"
    assert ward.asked == ["Make one tiny call to gemini-3-flash-preview? It costs a few tokens."]
    assert not sim.calls


async def test_another_program_of_the_same_name_is_found(admit: Admit, tmp_path: Path) -> None:
    ward = admit()
    other = tmp_path / "npm" / "runapi-mcp"
    other.parent.mkdir()
    other.write_text("#!/usr/bin/env node\n")
    other.chmod(0o755)
    ward.env["PATH"] = f"{other.parent}:{ward.env['PATH']}"
    found = only(await ward.of("launcher"))
    assert (found.status, found.what.startswith(f"{other}, the first runapi-mcp on PATH")) == ("warn", True)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("YOUR_RUNAPI_TOKEN", "a placeholder"),
        ("$RUNAPI_TOKEN", "did not fill in"),
        ("%RUNAPI_TOKEN%", "did not fill in"),
        ("{env:RUNAPI_TOKEN}", "did not fill in"),
        ("'sk-real-0123456789'", "in quotes"),
        ("AIzaSyA-0123456789", "a key of Google's"),
    ],
)
async def test_what_is_no_key_is_found(admit: Admit, key: str, said: str) -> None:
    found = only(await admit(RUNAPI_TOKEN=key).of("key"))
    assert (found.status, said in found.what) == ("fail", True)


async def test_hosts_with_one_fault_are_one_finding(admit: Admit, tmp_path: Path) -> None:
    ward = admit()
    for host in ("cursor", "windsurf", "cline"):
        ward.starts(host, str(tmp_path / "gone" / "runapi-mcp"))
    found = only([finding for finding in await ward.findings() if finding.status == "fail"])
    assert found.host == "cursor, windsurf, cline"
    assert found.mend.startswith("runapi-mcp install HOST writes")


async def test_a_variable_that_a_host_lacks_when_started_from_a_menu_is_found(admit: Admit) -> None:
    ward = admit()
    command, *args = ward.fake_server()
    ward.install("cursor", Wish(Launch(command, tuple(args))))
    found = only(await ward.of("host-env", "cursor"))
    assert (found.status, "RUNAPI_TOKEN is set in this shell" in found.what) == ("warn", True)
    (ward.home / ".profile").write_text("export RUNAPI_TOKEN=…")
    assert await ward.of("host-env", "cursor") == []


async def test_a_mark_that_a_host_does_not_read_is_found(admit: Admit) -> None:
    ward = admit()
    ward.starts("claude-desktop", *ward.fake_server())
    path = ward.config("claude-desktop")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    found = (await ward.of("host", "claude-desktop"))[-1]
    assert (found.status, "byte order mark" in found.what) == ("fail", True)


# ---------------------------------------------------------------- searches, which are billed


@pytest.fixture
def search(admit: Admit) -> Callable[..., Awaitable[None]]:
    """Search as a server of the ward's would, and keep that on its machine."""

    async def search(ward: Ward, **arguments: str) -> None:
        settings = from_env(ward.env)
        upstream = Upstream(settings, today=lambda: datetime(2026, 11, 28, tzinfo=UTC))
        store = shared_store(settings, anyio.current_time, ward.env)
        assert store is not None
        try:
            async with Generations(upstream, settings, store=store).open() as generations:
                tool = TOOLS["search_web"]
                run = Run(settings, upstream, generations, Caller(), nobody)
                await run.begin(tool.opening)
                await tool.perform(tool.args.model_validate({"query": "Q", **arguments}), run)
        finally:
            await upstream.aclose()

    return search


def searches(sim: Simulator) -> list[SeenCall]:
    return [call for call in sim.calls if re.search("google_?search", str(call.body), re.IGNORECASE)]


async def nobody(_seconds: float, _line: str) -> None:
    """Tell no one."""


Search = Callable[..., Awaitable[None]]


async def test_no_search_is_made_to_see_whether_one_is_refused_and_that_is_said(
    admit: Admit, sim: Simulator
) -> None:
    sim.roster.searchless.add(SEARCHING[0])
    ward = admit()
    found = only(await ward.of("searches"))
    assert found.status == "skipped"
    assert "a search is billed, and none of the last day is kept here" in found.what
    assert f"Where RunAPI refuses {SEARCHING[0]} one, {SEARCHING[1]} or " in found.what
    assert sim.calls
    assert not searches(sim)
    assert not (ward.home / ".local").exists(), "to look leaves nothing behind"


async def test_what_came_of_the_last_search_is_told(admit: Admit, sim: Simulator, search: Search) -> None:
    sim.bridge = True
    ward = admit()
    await search(ward)
    assert only(await ward.of("searches")).what == f"the last one was answered by {SEARCHING[0]}"
    sim.roster.searchless.add(SEARCHING[0])
    await search(ward, recency="month")
    found = only(await ward.of("searches"))
    assert (found.status, found.mend) == (
        "warn",
        f"Nothing need be done; RUNAPI_MCP_SEARCH_MODEL={SEARCHING[1]} makes it certain.",
    )
    assert f"answered by {SEARCHING[1]}: RunAPI refused {SEARCHING[0]}" in found.what
    sim.roster.swapped[SEARCHING[1]] = "gemini-3.5-flash-lite"
    await search(ward, recency="week")
    found = only(await ward.of("searches"))
    assert "“gemini-3.5-flash-lite” answered" in found.what
    assert len(searches(sim)) == 5, "those of the server alone"


async def test_a_search_that_was_refused_names_the_setting_that_mends_it(
    admit: Admit, sim: Simulator, search: Search
) -> None:
    sim.roster.gone[SEARCHING[0]] = 410
    sim.roster.searchless.add(SEARCHING[1])
    ward = admit()
    await search(ward)
    found = only(await ward.of("searches"))
    assert found.status == "warn"
    assert f"The model was {SEARCHING[1]}" in found.what
    assert found.mend == f"Set RUNAPI_MCP_SEARCH_MODEL={SEARCHING[2]}, or name a model."
    assert only(await admit(RUNAPI_MCP_SEARCH_MODEL="gemini-2.5-pro").of("searches")).status == "skipped"


async def test_a_search_whose_model_was_named_says_nothing_of_the_default(
    admit: Admit, sim: Simulator, search: Search
) -> None:
    ward = admit()
    await search(ward, model="gemini-2.5-pro")
    assert only(await ward.of("searches")).status == "skipped"
