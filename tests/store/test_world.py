# ruff: noqa: ASYNC240  # the disk is what is looked at
"""What others' stores fell over, played on this one; each has its public report."""

import logging
import os
import re
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from fleet.redis_server import RedisServer
from fleet.replicas import Replica, grown, job, replica
from fleet.slow_line import slow_line
from forked import forked_script
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError
from waiting import became, ended

from runapi_mcp.errors import HandleError, SettingsError, StoreDown
from runapi_mcp.generations.store import engine as engines
from runapi_mcp.generations.store import replica as of_others
from runapi_mcp.generations.store import shared_store, writer
from runapi_mcp.generations.store.engine import Add, Append, Begin, Down, Entry, Get, Held, Hold, Op, Read
from runapi_mcp.generations.store.redis import AWAY, RedisEngine
from runapi_mcp.generations.store.replica import Replica as RemoteGeneration
from runapi_mcp.generations.store.sqlite import FILE, SqliteEngine
from runapi_mcp.settings import Settings
from runapi_mcp.sim import Simulator
from store import elsewhere
from store.elsewhere import LONG, opened, texts, written

NOBODY = 65534


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


# ------------------------------------------------------------ one machine


async def test_a_reader_that_never_ends_does_not_let_the_log_grow_without_bound(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session left open in sqlite3 (DeusData/codebase-memory-mcp#1137: 115 GB; ohdearquant/khive#1876)."""
    monkeypatch.setattr(SqliteEngine, "patience", 0.05)
    async with opened(folder, most_bytes=1_000_000) as engine:
        await engine.run(*written("first"))
        reader = sqlite3.connect(folder / FILE, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM generations").fetchall()

        async def write_on() -> None:
            for number in range(60):
                await engine.run(*written("again", "x" * 100_000, epoch=number + 1))

        with pytest.raises(Down):
            await write_on()
        assert sum(path.stat().st_size for path in folder.iterdir()) < 4_000_000
        reader.close()
        engine._down_until = 0.0
        assert await engine.run(*written("after")) == [True, True]
        assert await texts(engine, "after") == ["text"]


@contextmanager
def as_somebody(folder: Path) -> Iterator[None]:
    """Do it as a user who is not root, whose the folder is."""
    if sys.platform == "win32":
        pytest.skip("owners are a thing of POSIX")
    if os.geteuid() != 0:
        yield
        return
    os.chown(folder, NOBODY, -1)
    for above in folder.parents[:-1]:
        if above.stat().st_uid == 0 and str(above).count("/") > 1:
            above.chmod(above.stat().st_mode | 0o011)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


async def test_a_file_that_root_made_is_left_alone_and_said_once(folder: Path) -> None:
    """After sudo, or in an image (dgobbi/vtk-dicom#178, NVIDIA/NemoClaw#9015)."""
    if sys.platform == "win32" or os.geteuid() != 0:
        pytest.skip("only root can make a file of root's")
    folder.mkdir(mode=0o700)
    (folder / FILE).touch(mode=0o600)
    with as_somebody(folder):
        async with opened(folder) as engine:
            with pytest.raises(Down) as first:
                await engine.run(*written("one"))
            with pytest.raises(Down) as second:
                await engine.run(*written("one"))
    assert "Nothing can be kept on this machine" in first.value.note
    assert (second.value.for_good, second.value.note) == (True, "")
    assert (folder / FILE).stat().st_size == 0


async def test_a_folder_that_became_read_only_ends_nothing(folder: Path) -> None:
    """A sandbox, or a mount with :ro; the log and its index cannot be made (getagentseal/codeburn#1017)."""
    folder.mkdir(mode=0o700)
    with as_somebody(folder):
        async with opened(folder) as engine:
            await engine.run(*written("one"))
        folder.chmod(0o500)
        async with opened(folder) as engine:
            with pytest.raises(Down) as said:
                await engine.run(Read("one"))
        folder.chmod(0o700)
    assert said.value.for_good
    assert "Nothing can be kept on this machine" in said.value.note


@pytest.mark.parametrize("damage", ["tail", "middle", "log", "format", "no text"])
async def test_a_file_that_lost_its_power_in_mid_writing_is_begun_anew(folder: Path, damage: str) -> None:
    """Pages of zeros, or half a log (piskvorky/sqlitedict#149, dirge-code/dirge#769).

    Or what is no schema under a header that is whole (anomalyco/opencode#37821).
    """
    async with opened(folder) as engine:
        for number in range(40):
            await engine.run(*written(f"n{number}", "x" * 5_000))
        log = (folder / f"{FILE}-wal").read_bytes()
    whole = (folder / FILE).read_bytes()
    half = len(whole) // 8192 * 4096
    if damage == "tail":
        (folder / FILE).write_bytes(whole[:half] + bytes(len(whole) - half))
    elif damage == "format":
        (folder / FILE).write_bytes(whole[:44] + b"\xff" * 4 + whole[48:])
    elif damage == "no text":
        (folder / FILE).write_bytes(whole.replace(b"CREATE TABLE facts", b"CREATE \xffABLE facts"))
    elif damage == "middle":
        (folder / FILE).write_bytes(whole[:8192] + bytes(half) + whole[8192 + half :])
    else:
        (folder / f"{FILE}-wal").write_bytes(log[: len(log) // 2] + bytes(10_000))
    async with opened(folder) as engine:
        for number in range(40):
            await texts(engine, f"n{number}")
        assert await engine.run(*written("after")) == [True, True]
        assert await texts(engine, "after") == ["text"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is open")
@pytest.mark.parametrize("gone", ["-shm", "-wal"])
async def test_files_that_another_program_removed_part_no_two_servers(folder: Path, gone: str) -> None:
    """After a backup, or by who clears up (nfrastack/db-backup#423, autentico#349, hermes-agent#46797)."""
    command = [*forked_script(elsewhere.__file__), str(folder), "first", "second"]
    async with opened(folder) as engine:
        await engine.run(*written("first", "1"))
        (folder / f"{FILE}{gone}").unlink()
        async with await anyio.open_process(command, stderr=None) as other:
            assert other.stdin is not None
            assert other.stdout is not None
            await other.stdin.send(b"theirs\n")
            said = BufferedByteReceiveStream(other.stdout)
            await said.receive_until(b"\n", 99)
            assert await engine.run(*written("second", "22")) == [True, True]
            assert await texts(engine, "theirs") == ["text"]
            await other.stdin.send(b"more\n")
            # What was in a log that was removed is lost.
            assert await said.receive_until(b"\n", 99) == (b"[2]" if gone == "-wal" else b"[1, 2]")
            assert await texts(engine, "more") == ["text"]
            await other.stdin.aclose()
    with closing(sqlite3.connect(folder / FILE)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def write_there(folder: Path) -> None:
    """Have another process write so much that its log begins anew, and leave."""
    lines = "".join(f"theirs{number} 100000\n" for number in range(60))
    command = [*forked_script(elsewhere.__file__), str(folder)]
    await anyio.run_process(command, input=lines.encode(), stderr=None)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is open")
@pytest.mark.parametrize("then", ["writes", "leaves"])
@pytest.mark.parametrize("gone", [("-shm",), ("-shm", "-wal")])
async def test_what_others_wrote_while_a_log_was_no_longer_theirs_stays(
    folder: Path, gone: tuple[str, ...], then: str
) -> None:
    """Whoever closes last cuts the file to what its own log says (NousResearch/hermes-agent#97329)."""
    async with opened(folder) as engine:
        await engine.run(*written("ours"))
        for end in gone:
            (folder / f"{FILE}{end}").unlink()
        await write_there(folder)
        if then == "writes":
            assert await engine.run(*written("after")) == [True, True]
    async with opened(folder) as engine:
        assert await texts(engine, "theirs0") == await texts(engine, "theirs59") == ["x" * 100_000]
        assert await texts(engine, "after") == ["text"] * (then == "writes")
        assert await texts(engine, "ours") == ["text"] * ("-wal" not in gone)
    with closing(sqlite3.connect(folder / FILE)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is open")
async def test_a_look_by_an_index_of_what_is_gone_sets_nothing_aside(folder: Path) -> None:
    """What it finds in the log is none of what it looks for, which looks like damage."""
    keys = [f"same:{number:064d}" for number in range(2_000)]
    async with opened(folder) as before, opened(folder) as engine:
        await before.run(*(Hold(key, key, LONG) for key in keys))
        assert await engine.run(Held(keys[0])), "it knows one page, and where the others are"
        await before.aclose()
        (folder / f"{FILE}-shm").unlink()
        await write_there(folder)
        for key in keys[::50]:
            await engine.run(Held(key))
        assert await texts(engine, "theirs59") == ["x" * 100_000]
    assert not [*folder.glob("*.damaged")]


async def test_the_file_of_another_program_under_its_name_is_not_written_over(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with sqlite3.connect(folder / FILE) as other:
        other.execute("CREATE TABLE generations (id INTEGER PRIMARY KEY, theirs TEXT)")
        other.execute("INSERT INTO generations (theirs) VALUES ('precious')")
    other.close()
    async with opened(folder) as engine:
        with pytest.raises(Down):
            await engine.run(*written("one"))
    with sqlite3.connect(folder / FILE) as other:
        assert other.execute("SELECT theirs FROM generations").fetchall() == [("precious",)]
    other.close()


# ------------------------------------------------------------ Redis


@pytest.fixture
def redis(shared_redis: RedisServer) -> RedisServer:
    shared_redis.stop()
    shared_redis.start()
    return shared_redis


@asynccontextmanager
async def administered(redis: RedisServer) -> AsyncIterator[Any]:
    client: Any = Redis.from_url(redis.url, decode_responses=True)
    async with client:
        yield client


async def test_a_primary_that_became_a_replica_is_left_for_whoever_its_name_leads_to(
    redis: RedisServer,
) -> None:
    """After a failover old connections still lead to it (StackExchange.Redis#2264, redis/redis-py#460)."""
    engine = RedisEngine(SecretStr(redis.url), anyio.current_time)
    async with administered(redis) as admin:
        await engine.run(Hold("one", "me", LONG))
        mine = await admin.client_list()
        await admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(Down):
            await engine.run(Hold("two", "me", LONG))
        engine._down_until = 0.0
        assert await engine.run(Held("one")), "what it has can be read"
        left = {one["id"] for one in mine} & {one["id"] for one in await admin.client_list()}
        assert left == {str(await admin.client_id())}, "its own connections were made anew"
        await admin.execute_command("REPLICAOF", "NO", "ONE")
        engine._down_until = 0.0
        assert await engine.run(Hold("two", "me", LONG)) == ["me"]
    await engine.aclose()


@pytest.mark.parametrize("why", ["full", "forbidden", "no disk", "password"])
async def test_a_redis_that_only_reads_is_away_until_it_writes_and_is_logged_once(
    sim: Simulator, redis: RedisServer, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Full with noeviction (redis/redis#9926), or an ACL without EVAL (taskforcesh/bullmq#3351).

    Or a snapshot that failed (MISCONF: OptimalBits/bull#540, django/channels_redis#118), or a password that
    was changed (NOAUTH: StackExchange.Redis#1273).
    """
    caplog.set_level(logging.WARNING, "runapi_mcp")
    async with administered(redis) as admin, replica(sim.base_url, redis.url) as one:
        dump = None
        if why == "full":
            await admin.config_set("maxmemory", "1")
        elif why == "forbidden":
            await admin.execute_command("ACL", "SETUSER", "default", "-eval")
        elif why == "no disk":
            await admin.config_set("save", "3600 1")
            [folder] = (await admin.config_get("dir")).values()
            (dump := Path(folder, "dump.rdb")).mkdir()
            await admin.bgsave()
            await became(lambda: refuses(admin))
        else:
            await admin.config_set("requirepass", "another")
            await admin.execute_command("AUTH", "another")
            await admin.execute_command("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES")
        for number in range(3):
            begun = await one.start(job(f"Asked {number}?"))
            await one.generations.hand_over(begun)
            await ended(begun)
            assert (begun.status, begun.view().note) == ("complete", AWAY)
        said = [record.getMessage() for record in caplog.records if record.name.startswith("runapi_mcp")]
        assert len([line for line in said if "Redis" in line]) == 1, said
        await admin.config_set("maxmemory", "0")
        await admin.execute_command("ACL", "SETUSER", "default", "+eval")
        await admin.config_set("save", "")
        if dump:
            dump.rmdir()
        await admin.config_set("requirepass", "")

        async def there() -> bool:
            return (await one.find(begun.handle)).view().note == ""

        await became(there)


async def refuses(admin: Any) -> bool:
    with suppress(RedisError):
        await admin.delete("nothing")
        return False
    return True


async def test_a_stream_that_was_trimmed_or_evicted_is_no_answer(sim: Simulator, redis: RedisServer) -> None:
    """Its beginning is missing, or all of it (jaseci-labs/jac#7696, redis/redis#8842)."""
    async with administered(redis) as admin, replica(sim.base_url, redis.url) as one:
        begun = await one.start(job("How long? [[sim:slow seconds=2]]"))
        await ended(begun)
        async with replica(sim.base_url, redis.url) as other:
            await became(lambda: whole(other, begun.handle))
        for longest in (1, 0):
            async for name in admin.scan_iter("runapi-mcp:2:t:*"):
                assert await admin.xtrim(name, maxlen=longest, approximate=False)
            async with replica(sim.base_url, redis.url) as other:
                with pytest.raises(HandleError):
                    await other.find(begun.handle)


async def whole(one: Replica, handle: str) -> bool:
    return (await one.find(handle)).status == "complete"


async def test_a_server_that_slept_is_not_taken_for_dead_once_it_wakes(
    sim: Simulator, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sign lapsed with the machine, not with the process (modem-dev/hunk#492, leapmux/leapmux#403)."""
    monkeypatch.setattr(writer, "SIGN", 60.0)  # it gives its sign once, and not again by itself
    fleet = replica(sim.base_url, redis.url), replica(sim.base_url, redis.url)
    async with administered(redis) as admin, fleet[0] as one, fleet[1] as other:
        handle = await one.handed(job("Asleep? [[sim:slow seconds=3]]"))
        await grown(await other.find(handle), 10)
        async for name in admin.scan_iter("runapi-mcp:2:server:*"):
            await admin.delete(name)
        assert (await other.find(handle)).status == "partial"
        async for name in admin.scan_iter("runapi-mcp:2:g:*"):
            await admin.set(f"runapi-mcp:2:server:{await admin.hget(name, 'server')}", "1")
        remote = await other.find(handle)
        assert remote.status == "running"
        await ended(remote)
        assert remote.view().answer == (await one.find(handle)).view().answer


@pytest.mark.parametrize("how", ["flush", "restart"])
async def test_who_follows_a_server_that_lives_stays_while_it_writes_anew_what_was_lost(
    sim: Simulator, redis: RedisServer, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """What is lost is no end (vercel/resumable-stream#47), and a sign that is gone no death (rq/rq#469)."""
    monkeypatch.setattr(writer, "SIGN", 60.0)  # it gives no sign but for what was lost
    fleet = replica(sim.base_url, redis.url), replica(sim.base_url, redis.url)
    async with administered(redis) as admin, fleet[0] as one, fleet[1] as other:
        handle = await one.handed(job(f"Lost by a {how}? [[sim:slow seconds=30]]"))
        remote = await other.find(handle)
        assert isinstance(remote, RemoteGeneration)
        await grown(remote, 10)
        async with remote.follow():
            if how == "flush":
                await admin.flushall()
            else:
                redis.stop()
                await became(lambda: remote.stale)
                redis.start()

            async def found() -> bool:
                with suppress(HandleError, StoreDown):
                    return bool(await other.find(handle))
                return False

            await became(found)
            await (first := await one.find(handle)).stop()
            await ended(remote)
        assert remote.status == "cancelled"
        assert remote.view().answer.text == first.view().answer.text


async def test_what_is_begun_after_a_flush_is_of_a_server_that_lives(
    sim: Simulator, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SIGN", 60.0)
    fleet = replica(sim.base_url, redis.url), replica(sim.base_url, redis.url)
    async with administered(redis) as admin, fleet[0] as one, fleet[1] as other:
        await ended(await one.start(job("Before?")))
        await admin.flushall()
        handle = await one.handed(job("After? [[sim:slow seconds=30]]"))
        assert (await other.find(handle)).status == "running"


async def test_a_sign_that_lapsed_in_an_outage_is_no_death(
    sim: Simulator, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failover takes longer than a sign holds, and nobody can give one meanwhile (rq/rq#1279)."""
    monkeypatch.setattr(writer, "ALIVE", 0.001)  # as if no sign outlived any outage
    monkeypatch.setattr(engines, "SETTLING", 3600.0)
    async with replica(sim.base_url, redis.url) as one, replica(sim.base_url, redis.url) as other:
        remote = await other.find(await one.handed(job("Through? [[sim:slow seconds=30]]")))
        redis.freeze()
        await became(lambda: not other.generations.store_up)
        redis.thaw()
        await became(lambda: other.generations.store_up)
        remote = await other.find(remote.handle)
        assert remote.status == "running"
        await remote.stop()
        assert remote.view().status == "cancelled"


async def test_who_follows_what_was_lost_with_its_server_is_told_so(
    sim: Simulator, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_others, "ALIVE", 0.5)
    async with administered(redis) as admin, replica(sim.base_url, redis.url) as other:
        async with replica(sim.base_url, redis.url) as one:
            remote = await other.find(await one.handed(job("Both? [[sim:slow seconds=30]]")))
            await grown(remote, 10)
            await admin.client_pause(300_000, all=False)  # it can tell nobody any more
        await admin.client_unpause()
        await admin.flushall()
        await ended(remote)
        assert remote.status == "partial"


async def test_no_handle_is_unknown_while_what_was_lost_is_written_anew(
    sim: Simulator, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "SETTLING", 3600.0)
    async with replica(sim.base_url, redis.url) as one:
        redis.stop()
        await became(lambda: not one.generations.store_up)
        redis.start()
        await became(lambda: one.generations.store_up)
        with pytest.raises(StoreDown, match="may not have told the others again yet"):
            await one.find("g_of_another_server")
    async with replica(sim.base_url, redis.url) as other:
        with pytest.raises(HandleError):
            await other.find("g_of_another_server")


async def test_what_arrives_after_it_was_given_up_changes_nothing_that_was_written_since(
    redis: RedisServer,
) -> None:
    """The network held it back, and closing its connection took nothing back (redisson/redisson#1129)."""
    engine = RedisEngine(SecretStr(redis.url), anyio.current_time)

    def begun(epoch: int) -> Begin:
        return Begin("late", "me", epoch, "{}", "live", "g_late", "ann", LONG)

    async def used(turn: int) -> None:
        await engine.run(Add("used", {"tokens": 1}, "me", turn, LONG))

    whole = Append("late", "me", 2, 0, [Entry(1, "All of it.", "")], "over", "complete", LONG)
    assert await engine.run(begun(2), whole) == [True, True]
    before = await engine.run(Read("late", facts=True))
    assert await engine.run(begun(1)) == [False]
    assert await engine.run(Read("late", facts=True)) == before
    for turn in (1, 2, 1, 2):
        await used(turn)
    assert await engine.run(Get("used")) == [{"tokens": "2"}]
    await engine.aclose()


async def test_a_user_who_may_do_what_the_page_says_may_do_all_that_is_needed(
    sim: Simulator, redis: RedisServer
) -> None:
    """Not even to say who connects (redis/redis-vl-python#673), nor to use what a role is made of."""
    page = Path(__file__).parents[2] / "docs" / "fleet.md"
    rule = re.search(r"A user of its own needs no more than `(.*)`", page.read_text(encoding="utf-8"))
    assert rule
    url = redis.url.replace("//", "//mcp:secret@").replace("/0", "/1")
    limits = {"max_calls_per_user": 2, "max_tokens_per_day": 1_000_000}
    async with administered(redis) as admin:
        await admin.execute_command("ACL", "SETUSER", "mcp", "reset", "on", ">secret", *rule[1].split())
        async with replica(sim.base_url, url, **limits) as one, replica(sim.base_url, url, **limits) as other:
            for prompt in (
                "Whole?",
                "Stopped? [[sim:slow seconds=30]]",
                "Waits? [[sim:rate-limit-once seconds=1]]",
            ):
                remote = await other.find(await one.handed(job(prompt)))
                await remote.stop() if "Stopped" in prompt else await ended(remote)
                await remote.deliver()
            assert await other.generations.used(1)
            assert one.generations.store_up
            assert other.generations.store_up
        await admin.execute_command("ACL", "DELUSER", "mcp")


@pytest.mark.parametrize(
    "option",
    [
        *("family=0", "timeout=20", "socket_timeout=soon", "ssl_cert_reqs=none", "protocol=7", "retry=3"),
        "max_connections=1",
    ],
)
def test_what_redis_py_does_not_take_in_a_url_is_told_at_the_start(option: str) -> None:
    """Each client has options of its own there, such as those of ioredis (Cyrax321/SNAGLINE#409)."""
    settings = Settings(store=SecretStr(f"redis://cache:6379/0?{option}"))
    with pytest.raises(SettingsError, match=r"RUNAPI_MCP_STORE has something behind its \?"):
        shared_store(settings, anyio.current_time)


async def test_a_check_of_certificates_that_redis_py_does_not_know_is_told_at_the_start() -> None:
    settings = Settings(store=SecretStr("rediss://cache:6379/0?ssl_cert_reqs=bogus"))
    with pytest.raises(SettingsError):
        shared_store(settings, anyio.current_time)


async def test_a_write_does_not_wait_behind_however_many_reads(redis: RedisServer) -> None:
    """A sign of life that comes after all who look is one too late."""
    came: list[str] = []

    async def ask(what: str, op: Op) -> None:
        with suppress(Down):
            await engine.run(op)
        came.append(what)

    async with slow_line(redis.port) as line:
        engine = RedisEngine(SecretStr(f"redis://127.0.0.1:{line.port}/0"), anyio.current_time)
        line.answering = 0.05
        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(ask, "read", Held(f"{number}"))
            tasks.start_soon(ask, "write", Hold("one", "me", LONG))
        await engine.aclose()
    assert came.index("write") < 150


async def test_who_waits_for_a_connection_takes_that_for_no_outage(redis: RedisServer) -> None:
    """As a pool that is used up says of itself (redis/redis-py#4121, on a line of 0.2 s)."""

    async def look(op: Op) -> None:
        with suppress(Down):  # too many waited before it
            await engine.run(op)

    async with slow_line(redis.port) as line:
        engine = RedisEngine(SecretStr(f"redis://127.0.0.1:{line.port}/0"), anyio.current_time)
        line.answering = 0.2
        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(look, Held(f"{number}"))
        assert not engine.away
        await engine.aclose()


async def test_a_connection_that_was_closed_while_idle_costs_no_handle(redis: RedisServer) -> None:
    """By Redis's own timeout, or by what stands between (redis/redis-py#1186, #1140)."""
    engine = RedisEngine(SecretStr(redis.url), anyio.current_time)
    async with administered(redis) as admin:
        await engine.run(Hold("one", "me", LONG))
        assert await admin.execute_command("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES")
        assert await engine.run(Hold("two", "me", LONG)) == ["me"]
    await engine.aclose()
