# ruff: noqa: ASYNC240  # the files are small, and nothing else runs on this loop
"""Tokens come and go while the server runs: nobody else's call is dropped, and a revoked one is the end."""

import os
import signal
import sys
from datetime import date
from pathlib import Path

import anyio
import httpx
import pytest
from messages import INITIALIZE
from waiting import became

from network.raw_web import ACCEPT, events, web
from network.web_host import served, web_server
from runapi_mcp import watched
from runapi_mcp.errors import InputError, SettingsError
from runapi_mcp.sim import Simulator
from runapi_mcp.transports.http.tokens import TokenFile, TokenList, add_token, list_tokens, revoke_tokens

TODAY = date(2026, 11, 28)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "LOOK_SECONDS", 0.02)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


async def status(url: str, token: str) -> int:
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            f"{url}/mcp", json=INITIALIZE, headers=ACCEPT | {"Authorization": f"Bearer {token}"}
        )
    return answer.status_code


# ------------------------------------------------------------ the file


async def test_a_written_token_is_let_in_and_the_file_does_not_hold_it(file: Path) -> None:
    token = add_token(file, "ann", TODAY)
    assert token not in file.read_text()
    found = await TokenList.read(file.read_text()).verify_token(token)
    assert found is not None
    assert found.client_id == "token:ann"
    assert [(line.name, line.note) for line in list_tokens(file)] == [("ann", "2026-11-28")]
    if sys.platform != "win32":
        assert file.stat().st_mode & 0o777 == 0o600


def test_what_else_a_file_says_stays_and_so_does_who_may_read_it(file: Path) -> None:
    file.write_text("# ours\nbob:in-clear-0123456789\n")
    file.chmod(0o640)
    add_token(file, "ann", TODAY)
    assert file.read_text().startswith("# ours\nbob:in-clear-0123456789\nann:sha256:")
    if sys.platform != "win32":
        assert file.stat().st_mode & 0o777 == 0o640
    assert revoke_tokens(file, "bob", None) == 1
    assert [line.name for line in list_tokens(file)] == ["ann"]


def test_one_of_two_tokens_is_revoked_by_its_id(file: Path) -> None:
    add_token(file, "ann", TODAY)
    first = list_tokens(file)[0].id
    add_token(file, "ann", TODAY)
    assert revoke_tokens(file, "ann", first) == 1
    with pytest.raises(InputError, match="no token"):
        revoke_tokens(file, "ann", first)
    assert revoke_tokens(file, "ann", None) == 1
    assert file.read_text().startswith("#"), "an empty file would be taken for half a file"


def test_a_link_stays_one(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "kept"
    target.write_text("# none\n")
    file.symlink_to(target)
    add_token(file, "ann", TODAY)
    assert file.is_symlink()
    assert "ann:sha256:" in target.read_text()


@pytest.mark.parametrize("name", ["", "a b", "ann:x", "-ann", "a" * 65, "ann\nbob"])
def test_a_name_that_would_not_be_read_is_not_written(file: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be a name"):
        add_token(file, name, TODAY)
    assert not file.exists()


@pytest.mark.parametrize("line", ["ann:sha256:12", "ann:sha256:" + "g" * 64, "ann:sha256:" + "A" * 64])
def test_half_a_digest_is_no_token(line: str) -> None:
    with pytest.raises(SettingsError, match="Line 2 of the tokens"):
        TokenList.read(f"# x\n{line}\n")


# ------------------------------------------------------------ a server on it


async def test_a_new_token_gets_in_and_a_revoked_one_does_not(sim: Simulator, file: Path) -> None:
    old = add_token(file, "ann", TODAY)
    async with served(sim, TokenFile(str(file))) as url:
        assert await status(url, old) == 200
        first = list_tokens(file)[0].id
        new = add_token(file, "ann", TODAY)

        async def lets_in() -> bool:
            return await status(url, new) == 200

        await became(lets_in)
        assert await status(url, old) == 200
        revoke_tokens(file, "ann", first)

        async def keeps_out() -> bool:
            return await status(url, old) == 401

        await became(keeps_out)
        assert await status(url, new) == 200


async def test_a_replacement_with_the_old_time_and_size_is_seen(sim: Simulator, file: Path) -> None:
    file.write_text("ann:token-of-ann-0000000001\n")
    before = file.stat()
    async with served(sim, TokenFile(str(file))) as url:
        other = file.with_name("new")
        other.write_text("ann:token-of-ann-0000000002\n")
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(file)

        async def lets_in() -> bool:
            return await status(url, "token-of-ann-0000000002") == 200

        await became(lets_in)


async def test_a_target_that_is_changed_behind_a_link_is_seen(sim: Simulator, tmp_path: Path) -> None:
    """As Kubernetes changes a mounted Secret."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "tokens").write_text(f"ann:token-of-ann-000000000{version}\n")
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "tokens").symlink_to("..data/tokens")
    async with served(sim, TokenFile(str(tmp_path / "tokens"))) as url:
        (tmp_path / "..new").symlink_to("2")
        (tmp_path / "..new").replace(tmp_path / "..data")

        async def lets_in() -> bool:
            return await status(url, "token-of-ann-0000000002") == 200

        await became(lets_in)


@pytest.mark.parametrize(
    ("text", "why"),
    [("ann", "Line 1"), ("", "empty"), ("# a\nann:token-of-ann-0123456789\nno line", "Line 3")],
)
async def test_what_cannot_be_read_leaves_the_last_good_tokens_and_names_the_line(
    sim: Simulator, file: Path, text: str, why: str
) -> None:
    token = add_token(file, "ann", TODAY)
    async with web_server(
        sim.base_url, "--auth", "token", "--tokens", str(file), RUNAPI_MCP_LOG="info"
    ) as server:
        file.write_text(text)
        await became(lambda: "stay as they were" in server.log)
        assert why in server.log
        assert await status(server.base_url, token) == 200
        file.unlink()
        await became(lambda: "cannot be read" in server.log)
        assert await status(server.base_url, token) == 200


async def test_the_last_token_can_be_revoked(sim: Simulator, file: Path) -> None:
    token = add_token(file, "ann", TODAY)
    async with served(sim, TokenFile(str(file))) as url:
        assert await status(url, token) == 200
        revoke_tokens(file, "ann", None)

        async def keeps_out() -> bool:
            return await status(url, token) == 401

        await became(keeps_out)


@pytest.mark.parametrize("era", ["2025", "2026"])
async def test_a_revoked_tokens_calls_and_sessions_end_and_nobody_elses(
    sim: Simulator, file: Path, era: str
) -> None:
    ann, bob = add_token(file, "ann", TODAY), add_token(file, "bob", TODAY)
    async with (
        served(sim, TokenFile(str(file))) as url,
        web(url, Authorization=f"Bearer {ann}") as hers,
        web(url, Authorization=f"Bearer {bob}") as his,
    ):
        if era == "2025":
            await hers.open_session()
            await his.open_session()
        async with (
            hers.calling(1, "ask_gemini", prompt="Hers [[sim:slow seconds=30]]") as her_call,
            his.calling(1, "ask_gemini", prompt="His [[sim:slow seconds=3]]") as his_call,
        ):
            first = await sim.wait_for_call()
            await became(lambda: len(sim.calls) == 2)
            hers_at_runapi = first if "Hers" in str(first.body) else sim.calls[1]
            revoke_tokens(file, "ann", None)
            with anyio.fail_after(20):  # less than her call would take
                await her_call.aread()
                await hers_at_runapi.wait_closed()
            assert hers_at_runapi.ended == "client left"
            await his_call.aread()
        assert events(his_call)[-1]["result"]["_meta"]["ai.runapi/receipt"]["status"] == "complete"
        assert (await hers.call(2, "list_models")).status_code == 401


async def test_a_session_goes_on_with_its_owners_next_token(sim: Simulator, file: Path) -> None:
    old = add_token(file, "ann", TODAY)
    first = list_tokens(file)[0].id
    new = add_token(file, "ann", TODAY)
    tokens = TokenFile(str(file))
    async with served(sim, tokens) as url, web(url, Authorization=f"Bearer {old}") as http:
        await http.open_session()
        http.http.headers["Authorization"] = f"Bearer {new}"
        assert (await http.call(1, "list_models")).status_code == 200
        revoke_tokens(file, "ann", first)
        await became(lambda: len(tokens.entries) == 1)
        assert (await http.call(2, "list_models")).status_code == 200


async def test_a_session_that_only_a_revoked_token_used_is_gone(sim: Simulator, file: Path) -> None:
    old = add_token(file, "ann", TODAY)
    first = list_tokens(file)[0].id
    new = add_token(file, "ann", TODAY)
    async with served(sim, TokenFile(str(file))) as url, web(url, Authorization=f"Bearer {old}") as http:
        await http.open_session()
        revoke_tokens(file, "ann", first)

        async def keeps_out() -> bool:
            return await status(url, old) == 401

        await became(keeps_out)
        http.http.headers["Authorization"] = f"Bearer {new}"
        assert (await http.call(2, "list_models")).status_code == 404


async def test_a_stream_of_the_older_transport_ends_with_its_token(sim: Simulator, file: Path) -> None:
    token = add_token(file, "ann", TODAY)
    async with (
        served(sim, TokenFile(str(file))) as url,
        httpx.AsyncClient(timeout=20, headers={"Authorization": f"Bearer {token}"}) as http,
        http.stream("GET", f"{url}/sse") as stream,
    ):
        assert stream.status_code == 200
        revoke_tokens(file, "ann", None)
        with anyio.fail_after(10):
            async for _ in stream.aiter_lines():
                pass


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
async def test_a_hangup_has_the_file_read_again_and_ends_nothing(sim: Simulator, file: Path) -> None:
    if sys.platform == "win32":
        return
    add_token(file, "ann", TODAY)
    async with web_server(
        sim.base_url, "--auth", "token", "--tokens", str(file), RUNAPI_MCP_LOG="info"
    ) as server:
        server.process.send_signal(signal.SIGHUP)
        await became(lambda: "were read again" in server.log)
        server.process.send_signal(signal.SIGTERM)
        await server.leaves()
