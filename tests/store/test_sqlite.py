# ruff: noqa: ASYNC240  # the disk is what is looked at
"""What the file of this machine bears: locks, damage, full and foreign folders, clocks that jump."""

import errno
import os
import sqlite3
import stat
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path

import anyio
import pytest
from server.hosting import in_process

from runapi_mcp.generations.store.engine import (
    Alive,
    Append,
    Begin,
    Deliver,
    Down,
    Entry,
    Held,
    Hold,
    Read,
    Record,
    Sign,
)
from runapi_mcp.generations.store.place import (
    Mark,
    Unusable,
    check_folder,
    clear_marks,
    is_shown,
    state_folder,
)
from runapi_mcp.generations.store.sqlite import DAY, FILE, SqliteEngine
from runapi_mcp.sim import Simulator

LONG = 1_000_000


def begin(name: str, *, facts: str = "{}", epoch: int = 1) -> Begin:
    return Begin(name, "server", epoch, facts, "{}", f"g_{name}", "owner", LONG)


def append(name: str, text: str, *, at: int = 0, final: str = "", epoch: int = 1) -> Append:
    return Append(name, "server", epoch, at, (Entry(1, text, ""),), "{}", final, LONG)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
async def engine(folder: Path) -> AsyncIterator[SqliteEngine]:
    engine = SqliteEngine(folder)
    yield engine
    await engine.aclose()


async def texts(engine: SqliteEngine, name: str) -> list[str] | None:
    record: Record | None
    [record] = await engine.run(Read(name))
    return None if record is None else [entry.text for _, entry in record.entries]


async def test_what_one_connection_wrote_another_reads_and_nobody_else_may(
    engine: SqliteEngine, folder: Path
) -> None:
    assert await engine.run(begin("a"), append("a", "half \ud83d")) == [True, True]
    assert await engine.run(append("a", "more", at=1)) == [True]
    other = SqliteEngine(folder)
    assert await texts(other, "a") == ["half \ud83d", "more"]
    await other.aclose()
    if os.name == "posix":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())


async def test_who_was_replaced_cannot_write_any_more(engine: SqliteEngine) -> None:
    await engine.run(begin("a"), append("a", "older"))
    assert await engine.run(begin("a", epoch=2), append("a", "old")) == [True, False]
    assert await engine.run(append("a", "new", epoch=2)) == [True]
    assert await engine.run(append("a", "twice", epoch=2)) == [False]
    assert await texts(engine, "a") == ["new"]


async def test_of_many_that_are_written_together_it_is_told_which_were_not(engine: SqliteEngine) -> None:
    names = [f"a{number}" for number in range(250)]
    begun = [begin(name, epoch=1 + (name == "a7")) for name in names if name != "a9"]
    assert all(await engine.run(*begun))
    written = [append(name, name, at=int(name == "a8"), final="complete") for name in names]
    assert await engine.run(*written) == [name not in ("a7", "a8", "a9") for name in names]
    assert await texts(engine, "a6") == ["a6"]
    assert await texts(engine, "a7") == await texts(engine, "a8") == []


async def test_a_writer_that_holds_the_lock_for_good_stops_no_reader_and_delays_a_writer_little(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteEngine, "patience", 0.05)
    engine = SqliteEngine(folder)
    await engine.run(begin("a"), append("a", "text"))
    stopped = sqlite3.connect(folder / FILE, isolation_level=None)
    stopped.execute("BEGIN IMMEDIATE")
    assert await texts(engine, "a") == ["text"]
    newcomer = SqliteEngine(folder)
    assert await texts(newcomer, "a") == ["text"]
    await newcomer.aclose()
    with pytest.raises(Down, match="cannot be written now"):
        await engine.run(append("a", "more", at=1))
    stopped.execute("ROLLBACK")
    stopped.close()
    await anyio.sleep(0.3)  # what it waits before it asks again
    assert await engine.run(append("a", "more", at=1)) == [True]
    await engine.aclose()


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
async def test_a_damaged_file_is_set_aside_and_begun_anew(folder: Path, content: bytes) -> None:
    folder.mkdir(mode=0o700)
    (folder / FILE).write_bytes(content)
    engine = SqliteEngine(folder)
    assert await engine.run(begin("a"), append("a", "text")) == [True, True]
    assert await texts(engine, "a") == ["text"]
    assert (folder / f"{FILE}.damaged").exists() == bool(content)
    await engine.clear()
    assert not (folder / f"{FILE}.damaged").exists()
    await engine.aclose()


async def test_a_folder_that_is_taken_away_is_made_anew(engine: SqliteEngine, folder: Path) -> None:
    await engine.run(begin("a"))
    for path in folder.iterdir():
        path.unlink()
    engine._clear_due = 0.0  # a minute later
    await engine.run(Sign("server", 9000), begin("b"))
    other = SqliteEngine(folder)
    assert await texts(other, "b") == []
    assert await other.run(Alive("server")) == [True]
    await other.aclose()


async def test_where_nothing_can_be_written_it_is_said_once_and_left(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for place in (tmp_path / "file" / "state", Unusable("this user has no home folder")):
        engine = SqliteEngine(place)
        with pytest.raises(Down) as first:
            await engine.run(begin("a"))
        with pytest.raises(Down) as second:
            await engine.run(begin("a"))
        assert "Nothing can be kept on this machine" in first.value.note
        assert (first.value.for_good, second.value.for_good, second.value.note) == (True, True, "")
        await engine.aclose()


async def test_that_nothing_can_be_kept_is_said_in_the_first_result_whose_handle_that_concerns(
    sim: Simulator, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    async with in_process(sim.base_url, RUNAPI_MCP_STORE=str(tmp_path / "file" / "state")) as host:
        whole = await host.call("ask_gemini", prompt="Why?")
        said = [whole.text]
        for number in range(2):
            running = await host.call(
                "ask_gemini", prompt=f"Long {number} [[sim:slow seconds=20]]", wait_seconds=0
            )
            said.append(running.text)
            await host.call("get_result", handle=running.handle, cancel=True)
    assert ["Nothing can be kept on this machine" in text for text in said] == [False, True, False]


@pytest.mark.parametrize("free", range(7))
async def test_a_process_that_may_open_no_more_files_keeps_what_comes_later(folder: Path, free: int) -> None:
    """SQLite says of it that it cannot open the file, as of what it may not (openai/codex#26984)."""
    if sys.platform == "win32":
        pytest.skip("Windows has no such limit")
    import resource

    engine = SqliteEngine(folder)
    written = (Sign(engine.server, LONG), begin("a"), append("a", "text"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened[0] + 50, hard))
    try:
        with suppress(OSError):
            while True:
                opened.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(free):
            os.close(opened.pop())
        with suppress(Down):
            await engine.run(*written)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for one in opened:
            os.close(one)
    assert not engine.off
    engine._down_until = 0.0
    assert (await engine.run(*written))[1:] == [True, True]
    assert await texts(engine, "a") == ["text"]
    await engine.aclose()


@pytest.mark.skipif(sys.platform == "win32", reason="who may make links there is another matter")
@pytest.mark.parametrize("where", ["state", "state/below"])
async def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, where: str) -> None:
    """A drive that is not mounted, or dotfiles that moved: that the folder exists is no reason."""
    (tmp_path / "state").symlink_to(tmp_path / "gone")
    engine = SqliteEngine(tmp_path / where)
    with pytest.raises(Down, match=r"state is a link that leads nowhere"):
        await engine.run(begin("a"))
    with pytest.raises(Unusable, match="leads nowhere"):
        check_folder(tmp_path / where)
    await engine.aclose()
    assert not (tmp_path / "gone").exists()


async def test_a_folder_that_no_inode_is_left_for_is_made_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room comes back, as it does on a full disk (anomalyco/opencode#17589)."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    engine = SqliteEngine(folder)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", full)
        with pytest.raises(Down):
            await engine.run(begin("a"))
    assert not engine.off
    engine._down_until = 0.0
    assert await engine.run(begin("a"), append("a", "text")) == [True, True]
    await engine.aclose()


async def test_a_quota_that_is_used_up_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite calls that an error of the disk, and only a full one full (NOAA-EMC/GDASApp#2009)."""

    def exceeded(*_: object, **__: object) -> int:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    def broken(_: object) -> object:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
        raise error

    engine = SqliteEngine(folder)
    assert await engine.run(begin("a")) == [True]
    with monkeypatch.context() as patched:
        patched.setattr(SqliteEngine, "_open", broken)
        patched.setattr(os, "write", exceeded)
        with pytest.raises(Down) as down:
            await engine.run(append("a", "text"))
    assert (down.value.for_good, engine.off) == (False, "")
    engine._down_until = 0.0
    assert await engine.run(append("a", "text")) == [True]
    await engine.aclose()


async def test_a_disk_that_was_full_when_the_index_was_to_be_made_is_tried_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite says that as an error of the disk, which elsewhere is one for good."""
    now = 0.0
    engine = SqliteEngine(folder, clock=lambda: now)

    def full(_: object) -> object:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(SqliteEngine, "_open", full)
        with pytest.raises(Down) as down:
            await engine.run(begin("a"))
    assert not down.value.for_good
    now += 10
    assert await engine.run(begin("a"), append("a", "text")) == [True, True]
    await engine.aclose()


async def test_a_python_without_sqlite_keeps_all_in_memory_and_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    engine = SqliteEngine(folder)
    with pytest.raises(Down) as gone:
        await engine.run(begin("a"))
    assert (gone.value.for_good, gone.value.note) == (
        True,
        "Nothing can be kept on this machine (this Python has no sqlite3): handles end with this server.",
    )
    assert not folder.exists()
    await engine.aclose()


async def test_nothing_of_what_was_cleared_is_left_in_any_file(engine: SqliteEngine, folder: Path) -> None:
    await engine.run(begin("a", facts='{"secret": "canary-question"}'), append("a", "canary-answer" * 1000))
    assert await engine.clear() == (1, True)
    held = b"".join(path.read_bytes() for path in folder.iterdir())
    assert b"canary" not in held


async def test_what_another_program_still_reads_of_what_was_cleared_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteEngine, "patience", 0.05)
    engine = SqliteEngine(folder)
    await engine.run(begin("a"), append("a", "canary" * 1000))
    reader = sqlite3.connect(folder / FILE, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM generations").fetchone()
    assert await engine.clear() == (1, False)
    reader.close()
    assert await engine.clear() == (0, True)
    await engine.aclose()


async def test_what_ended_a_day_ago_is_not_there_also_before_anything_is_cleared(folder: Path) -> None:
    """Who comes back after a weekend reads first, and writes later."""
    now = time.time()
    engine = SqliteEngine(folder, now=lambda: now)
    owner = engine.name("owner")
    ended = [
        Begin("ended", "server", 1, "{}", "{}", "g_ended", owner, LONG),
        append("ended", "x", final="{}"),
    ]
    await engine.run(*ended, Begin("running", "server", 1, "{}", "{}", "g_running", owner, LONG))
    assert await engine.recent("owner", 5) == ["g_running", "g_ended"]
    now += 3 * LONG / 1000
    assert await engine.recent("owner", 5) == ["g_running"]
    assert await texts(engine, "ended") is None
    assert await texts(engine, "running") == []
    await engine.aclose()


@pytest.mark.parametrize("end", ["", "-wal"])
async def test_what_other_versions_left_is_removed_a_day_after_it_was_written_and_at_a_word(
    folder: Path, end: str
) -> None:
    now = time.time()
    engine = SqliteEngine(folder, now=lambda: now)
    await engine.run(begin("a"), append("a", "x", final="{}"))
    ours = [folder / f"generations-1.sqlite{end}", folder / f"{FILE}.damaged"]
    others = ["notes-1.sqlite", "generations-of-roses.pdf", "generations-1.sqlite.txt", "generations-1.sql"]
    old = [*ours, *(folder / name for name in others)]
    theirs = [True] * len(others)

    async def left(seconds: float) -> list[bool]:
        """Which are left once the newest of another version's files is so many seconds old."""
        for path in (*old, folder / "generations-1.sqlite"):
            path.touch()
            os.utime(path, (now - 10 * DAY, now - 10 * DAY))
        os.utime(old[0], (now - seconds, now - seconds))
        os.utime(old[1], (now - seconds, now - seconds))
        engine._clear_due = 0.0
        await engine.run(Sign("server", 9000))
        return [path.exists() for path in old]

    assert await left(DAY - 60) == [True, True, *theirs]
    assert await left(DAY + 60) == [False, False, *theirs]
    assert await left(0) == [True, True, *theirs]
    await engine.clear()
    assert [path.exists() for path in old] == [False, False, *theirs]
    assert await texts(engine, "a") is None
    await engine.run(begin("a"), append("a", "y"))
    assert await texts(engine, "a") == ["y"]
    await engine.aclose()


async def test_the_file_stays_within_its_bound_and_the_oldest_goes_first(folder: Path) -> None:
    engine = SqliteEngine(folder, most_bytes=2_000_000)
    for number in range(12):
        engine._clear_due = 0.0
        name = f"n{number}"
        done = await engine.run(begin(name), append(name, "x" * 300_000, final="{}"))
        assert done == [True, True]
    assert await texts(engine, "n0") is None
    assert await texts(engine, "n11") == ["x" * 300_000]
    assert (folder / FILE).stat().st_size <= 2_000_000
    await engine.aclose()


async def test_a_text_that_is_none_is_read_as_far_as_it_is_one(engine: SqliteEngine, folder: Path) -> None:
    """One bit on the disk is enough, and the whole server would end of what Python makes of it."""
    await engine.run(begin("a"), Hold("lease", "holder", LONG))
    with closing(sqlite3.connect(folder / FILE)) as other, other:
        other.execute("UPDATE generations SET server = CAST(x'61ff' AS TEXT)")
        other.execute("UPDATE leases SET holder = CAST(x'61ff' AS TEXT)")
    record, held = await engine.run(Read("a"), Held("lease"))
    assert record.server == held[0] == "a\ufffd"


async def test_many_short_answers_make_room_like_few_long_ones(folder: Path) -> None:
    """Of these most of the file is what they came to, and how they are found."""
    engine = SqliteEngine(folder, most_bytes=1_000_000)
    for number in range(10):
        names = [f"n{number}-{at:064}" for at in range(50)]
        assert all(await engine.run(*map(begin, names)))
        ended = [Append(name, "server", 1, 0, (), "x" * 1_500, "complete", LONG) for name in names]
        assert all(await engine.run(*ended))
        await engine.run(*(Deliver(name, LONG) for name in names[::2]))
    assert await texts(engine, f"n0-{0:064}") is None
    assert await texts(engine, f"n9-{49:064}") == []
    older = [f"n{number}-{at:064}" for number in range(5, 10) for at in range(50)]
    assert sum(record is not None for record in await engine.run(*map(Read, older))) > 100
    await engine.aclose()


async def test_a_clock_that_jumps_drops_nothing_that_a_living_process_runs(folder: Path) -> None:
    now = time.time()
    engine = SqliteEngine(folder, now=lambda: now)
    await engine.run(Sign("server", 9000), begin("running"), begin("ended"), append("ended", "x", final="{}"))
    for jump in (400 * 86_400, -400 * 86_400):
        now += jump
        engine._clear_due = 0.0
        await engine.run(Sign("server", 9000))
        assert await texts(engine, "running") == []
        assert await engine.run(Alive("server")) == [True]
    await engine.aclose()


async def test_a_lease_is_its_holders_until_it_ends_or_may_be_replaced(folder: Path) -> None:
    now = time.time()
    engine = SqliteEngine(folder, now=lambda: now)
    assert await engine.run(Hold("q", "one", 1000), Hold("q", "two", 1000)) == ["one", "one"]
    assert await engine.run(Hold("q", "two", 1000, "one"), Hold("q", "three", 1000, "*")) == ["two", "three"]
    now += 2
    assert await engine.run(Held("q"), Hold("q", "four", 1000)) == [None, "four"]
    await engine.aclose()


def test_a_mark_that_windows_does_not_remove_while_it_is_looked_at_is_taken_back_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "The process cannot access the file")

    mark = Mark(tmp_path / "alive-one")
    mark.show()
    with monkeypatch.context() as held:
        held.setattr(Path, "unlink", refuse)
        mark.take_back()
    assert not is_shown(tmp_path / "alive-one")
    clear_marks(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_folder_is_the_platforms_own() -> None:
    assert state_folder({"HOME": "/home/ann"}, "linux") == Path("/home/ann/.local/state/runapi-mcp")
    assert state_folder({"HOME": "/home/ann", "XDG_STATE_HOME": "/s"}, "linux") == Path("/s/runapi-mcp")
    assert state_folder({"HOME": "/home/ann", "XDG_STATE_HOME": "s"}, "linux").parts[1] == "home"
    mac = state_folder({"HOME": "/Users/ann", "XDG_STATE_HOME": "/s"}, "darwin")
    assert mac == Path("/Users/ann/Library/Application Support/runapi-mcp")
    windows = {"LOCALAPPDATA": r"D:\App Data\Local", "USERPROFILE": r"C:\Users\Ann Lee"}
    assert str(state_folder(windows, "win32")) == r"D:\App Data\Local\runapi-mcp"
    del windows["LOCALAPPDATA"]
    assert str(state_folder(windows, "win32")) == r"C:\Users\Ann Lee\AppData\Local\runapi-mcp"
    for platform in ("linux", "win32"):
        with pytest.raises(Unusable, match="no home"):
            state_folder({"USERPROFILE": r"\here", "LOCALAPPDATA": "C:here", "HOME": "here"}, platform)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts are read from /proc")
@pytest.mark.parametrize(
    ("kind", "used"),
    [
        *((kind, False) for kind in ("nfs4", "cifs", "fuse.sshfs", "afs", "9p", "drvfs", "vboxsf")),
        *((f"fuse.{kind}", False) for kind in ("portal", "shfs", "mergerfs", "juicefs", "gcsfuse", "new")),
        *((kind, True) for kind in ("ext4", "overlay", "fuseblk", "fuse.fuse-overlayfs", "fuse.gocryptfs")),
    ],
)
def test_a_drive_that_is_no_kernels_own_here_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, used: bool
) -> None:
    """Neither of a network nor of a program, but for a few (Ozark-Connect/NetworkOptimizer#707)."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\n", encoding="utf-8")
    monkeypatch.setattr("runapi_mcp.generations.store.place._MOUNTS", mounts)
    if used:
        check_folder(tmp_path / "state")
        return
    with pytest.raises(Unusable, match=f"network drive|another program's .*{kind}"):
        check_folder(tmp_path / "state")
