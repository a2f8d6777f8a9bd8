"""Files of every kind, made here; and paths that must not be read."""

import base64
import io
import os
import random
import struct
import sys
import threading
import wave
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from waiting import became

from benchmarks import links
from runapi_mcp.errors import InputError
from runapi_mcp.files import Attached, ResourceLink, attach, paths
from runapi_mcp.files.paths import Reach, resolve_folders
from runapi_mcp.settings import Settings
from runapi_mcp.sim import Simulator
from runapi_mcp.wire.json_text import MAX_TEXT_CHARS
from runapi_mcp.wire.types import Inline, Linked, Text
from tools.calling import Desk, desk

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def _wav() -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(8000)
        made.writeframes(struct.pack("<8h", *range(8)))
    return held.getvalue()


def _zip() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as made:
        made.writestr("a.txt", "x")
    return held.getvalue()


def _iso(brand: bytes) -> bytes:
    return struct.pack(">I4s4sI", 16, b"ftyp", brand, 0) + b"\0" * 8


KINDS: dict[str, tuple[bytes, str]] = {
    "png": (PNG, "image/png"),
    "jpeg": (b"\xff\xd8\xff\xe0" + b"\0" * 8, "image/jpeg"),
    "webp": (b"RIFF\x1a\0\0\0WEBPVP8L" + b"\0" * 8, "image/webp"),
    "heic": (_iso(b"heic"), "image/heic"),
    "pdf": (PDF, "application/pdf"),
    "wav": (_wav(), "audio/wav"),
    "mp3 with a tag": (b"ID3\x04\0\0\0\0\0\0", "audio/mpeg"),
    "mp3": (b"\xff\xfb\x90\x64" + b"\0" * 32, "audio/mpeg"),
    "aac": (b"\xff\xf1\x50\x80" + b"\0" * 32, "audio/aac"),
    "ogg": (b"OggS\0\x02" + b"\0" * 20, "audio/ogg"),
    "flac": (b"fLaC\0\0\0\x22" + b"\0" * 34, "audio/flac"),
    "m4a": (_iso(b"M4A "), "audio/mp4"),
    "mp4": (_iso(b"isom"), "video/mp4"),
    "mov": (_iso(b"qt  "), "video/quicktime"),
    "webm": (b"\x1aE\xdf\xa3\x01\0\0\0", "video/webm"),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(params=["chat", "native"])
async def at(request: pytest.FixtureRequest, sim: Simulator, here: Path) -> AsyncIterator[Desk]:
    async with desk(sim, dialect=request.param) as opened:
        yield opened


@pytest.mark.parametrize(("content", "kind"), KINDS.values(), ids=KINDS)
async def test_the_kind_of_a_file_is_in_its_content_not_in_its_name(
    here: Path, content: bytes, kind: str
) -> None:
    (here / "named.txt").write_bytes(content)
    (part,) = (await attach(["named.txt"], Settings())).parts
    assert part == Inline(kind, base64.b64encode(content).decode())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("def f(): return 'ü'\n".encode(), "def f(): return 'ü'\n"),
        (b"\xef\xbb\xbfhello", "hello"),
        ("hello".encode("utf-16"), "hello"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
    ],
)
async def test_text_and_code_are_inlined_with_their_name(here: Path, content: bytes, text: str) -> None:
    (here / "notes.png").write_bytes(content)
    attached = await attach(["notes.png"], Settings())
    assert attached.parts == (Text(f"File notes.png:\n\n{text}\n"),)
    assert not attached.binary


@pytest.mark.parametrize("content", ["café".encode("latin-1"), "Привет".encode("koi8-r"), b"\xff\xfe\xfd"])
async def test_text_in_another_encoding_is_refused_as_that(here: Path, content: bytes) -> None:
    (here / "old.txt").write_bytes(content)
    with pytest.raises(InputError) as refused:
        await attach(["old.txt"], Settings())
    assert str(refused.value) == (
        "files[0]: old.txt seems to be text, but is not UTF-8. Convert it to UTF-8 first."
    )


@pytest.mark.parametrize(
    "content", [_zip(), b"GIF89a\0\0", b"a\0b", b"\xe9\0", random.Random(7).randbytes(64) + b"\0\xff"]
)
async def test_a_kind_that_is_not_taken_is_refused_and_those_that_are_named(
    here: Path, content: bytes
) -> None:
    (here / "thing.png").write_bytes(content)
    with pytest.raises(
        InputError, match=r"files\[0\]: thing.png is of a kind that is not taken. Taken: images"
    ):
        await attach(["thing.png"], Settings())


def _fifo(path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("a FIFO is a thing of POSIX")
    os.mkfifo(path)


ESCAPES: dict[str, Callable[[Path, Path], str]] = {
    "dots": lambda _here, secret: f"../{secret.parent.name}/{secret.name}",
    "dots from within": lambda here, secret: f"{here}/sub/../../{secret.parent.name}/{secret.name}",
    "absolute": lambda _here, secret: str(secret),
    "a file URL": lambda _here, secret: secret.as_uri(),
    "a file URL in capitals": lambda _here, secret: "FILE://" + str(secret),
    "a file URL with a host": lambda _here, secret: "file://localhost" + str(secret),
    "a file URL with encoded dots": lambda here, secret: (
        f"file://{here}/%2e%2e/{secret.parent.name}/{secret.name}"
    ),
    "a file URL of another machine": lambda _here, secret: "file://server" + str(secret),
    "UNC": lambda _here, _secret: "\\\\server\\share\\secret.txt",
    "UNC with slashes": lambda _here, secret: f"//server{secret}",
    "a link": lambda _here, _secret: "link.txt",
    "a link to a folder": lambda _here, secret: f"linked/{secret.name}",
    "a link in a circle": lambda _here, _secret: "circle",
    "the home": lambda _here, _secret: "~/.ssh/id_rsa",
    "the process's own environment": lambda _here, _secret: "/proc/self/environ",
    "the same by a link": lambda _here, _secret: "environ",
    "the same in other words": lambda _here, _secret: "/proc/../proc/self//environ",
    "a device": lambda _here, _secret: "/dev/zero",
    "a pipe": lambda _here, _secret: "pipe",
    "a folder outside": lambda _here, secret: str(secret.parent),
    "a linked folder": lambda _here, _secret: "linked",
    "a pattern that leads out": lambda _here, secret: f"../{secret.parent.name}/*.txt",
    "a pattern through a link": lambda _here, _secret: "linked/*.txt",
    "a diff": lambda _here, _secret: "git:HEAD~1..HEAD",
    "a diff of an option": lambda _here, _secret: "git:--output=/tmp/x..HEAD",
    "a folder that begins alike": lambda here, _secret: f"{here}-secret/secret.txt",
    "capitals": lambda here, secret: str(secret).upper(),
    "a NUL": lambda _here, secret: f"note.txt\0{secret}",
    "a line break": lambda _here, _secret: "note.txt\n",
    "nothing": lambda _here, _secret: "",
    "blanks": lambda _here, _secret: "  ",
    "a drive": lambda _here, _secret: "C:\\Windows\\win.ini",
    "http": lambda _here, _secret: "http://127.0.0.1/secret",
    "another scheme": lambda _here, secret: f"ftp://localhost{secret}",
    "a broken URL": lambda _here, _secret: "https://[",
    "a URL with a password": lambda _here, _secret: "https://me:pass@example.org/a.png",
}


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
@pytest.mark.parametrize("wide", [False, True])
async def test_paths_that_lead_out_are_refused(
    tmp_path: Path, here: Path, escape: Callable[[Path, Path], str], wide: bool
) -> None:
    outside = tmp_path / "work-secret"
    outside.mkdir()
    secret = outside / "secret.txt"
    secret.write_text("canary-secret")
    (here / "sub").mkdir()
    (here / "note.txt").write_text("fine")
    (here / "link.txt").symlink_to(secret)
    (here / "linked").symlink_to(outside)
    (here / "circle").symlink_to(here / "circle")
    (here / "environ").symlink_to("/proc/self/environ")
    _fifo(here / "pipe")
    settings = Settings(allow_dirs=(str(here / "sub"),) if wide else ())
    with anyio.fail_after(5), pytest.raises(InputError) as caught:
        await attach([escape(here, secret)], settings)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("walks", [paths._WALKS, False])
@pytest.mark.parametrize("way", links.WAYS)
def test_no_link_that_is_swapped_in_time_leads_out(
    way: str, walks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "_WALKS", walks)
    found = links.race(way, links.by_descriptor, 500)
    assert not found[links.OUTSIDE]
    assert found[links.INSIDE]


def test_a_link_on_the_way_that_was_put_in_place_after_the_check_is_not_followed(
    tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "work-secret"
    outside.mkdir()
    (outside / "a.txt").write_text("canary-secret")
    folder = here / "sub"
    folder.mkdir()
    (folder / "a.txt").write_text("fine")
    resolve = Path.resolve

    def resolved_and_swapped(path: Path, strict: bool = False) -> Path:
        found = resolve(path, strict)
        if folder.is_dir() and not folder.is_symlink():
            folder.rename(here / "aside")
            folder.symlink_to(outside)
        return found

    monkeypatch.setattr(Path, "resolve", resolved_and_swapped)
    with pytest.raises(InputError, match="cannot be read"):
        Reach((here,)).read(folder / "a.txt", 100)


def test_reading_leaves_no_descriptor_open(here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "a.txt").write_text("fine")
    _fifo(here / "sub" / "pipe")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("sub/a.txt", "sub/none.txt", "sub/pipe", "sub", "none/a.txt", "sub/a.txt/b"):
        with suppress(InputError):
            Reach((here,)).read(here / name, 100)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_whether_a_file_outside_exists_is_not_told(tmp_path: Path, here: Path) -> None:
    (tmp_path / "there.txt").write_text("x")
    told = []
    for name in ("there.txt", "nowhere.txt"):
        with pytest.raises(InputError) as caught:
            await attach([str(tmp_path / name)], Settings())
        told.append(str(caught.value).replace(name, "…"))
    assert told[0] == told[1]
    assert "--allow-dir" in told[0]


async def test_folders_that_are_allowed_can_be_read(tmp_path: Path, here: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "a b.txt").write_text("hello")
    (here / "link.txt").symlink_to(more / "a b.txt")
    settings = Settings(allow_dirs=(str(more),))
    for name in (str(more / "a b.txt"), (more / "a b.txt").as_uri(), "link.txt"):
        (part,) = (await attach([name], settings)).parts
        assert isinstance(part, Text)
        assert "hello" in part.text


async def test_the_whole_machine_allowed_is_still_not_the_process(here: Path) -> None:
    for name in ("/proc/self/environ", "/sys/kernel/uevent_seqnum", "/dev/null"):
        with pytest.raises(InputError, match="is not a file to read"):
            await attach([name], Settings(allow_dirs=("/",)))


async def test_a_server_started_at_the_top_of_the_file_system_reads_nothing_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("x")
    monkeypatch.chdir("/")
    with pytest.raises(InputError, match="outside the folders"):
        await attach([str(tmp_path / "a.txt")], Settings())


@pytest.mark.parametrize("started_in", ["home", "home/.."])
async def test_a_server_started_in_the_home_folder_or_above_it_reads_nothing_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started_in: str
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "a.txt").write_text("x")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path / started_in)
    with pytest.raises(InputError, match="outside the folders"):
        await attach([str(home / "a.txt")], Settings())
    assert (await attach([str(home / "a.txt")], Settings(allow_dirs=resolve_folders(["~"])))).parts


async def test_a_project_below_the_home_folder_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.txt").write_text("x")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(project)
    assert (await attach(["a.txt"], Settings())).parts


async def test_a_text_longer_than_any_model_reads_is_refused(here: Path) -> None:
    (here / "long.txt").write_text("x" * (MAX_TEXT_CHARS + 1))
    with pytest.raises(InputError, match=r"long\.txt is a text of more than 8,000,000 characters"):
        await attach(["long.txt"], Settings())
    (here / "long.txt").write_text("x" * MAX_TEXT_CHARS)
    assert (await attach(["long.txt"], Settings())).parts


async def test_each_problem_has_its_line(here: Path) -> None:
    (here / "big.txt").write_text("x" * 2000)
    (here / "empty.txt").touch()
    with pytest.raises(InputError) as caught:
        await attach(["none.txt", "big.txt", "empty.txt", "data:text/plain"], Settings(max_file_bytes=1024))
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"files[{n}]" for n in range(4)]
    for line, said in zip(
        lines, ("does not exist", "RUNAPI_MCP_MAX_FILE_BYTES", "is empty", "no comma"), strict=True
    ):
        assert said in line


async def test_files_that_are_too_large_together_are_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runapi_mcp.files.MOST_TOGETHER", 3000)
    (here / "a.txt").write_text("x" * 2000)
    with pytest.raises(InputError, match="together"):
        await attach(["a.txt", "a.txt"], Settings())


@pytest.mark.parametrize(
    ("link", "part"),
    [
        (
            ResourceLink(uri="https://e.org/a", mimeType="application/pdf"),
            Linked("application/pdf", "https://e.org/a"),
        ),
        (ResourceLink(uri="https://e.org/a.PNG?x=1"), Linked("image/png", "https://e.org/a.PNG?x=1")),
        (ResourceLink(uri="https://e.org/photo.webp"), Linked("image/webp", "https://e.org/photo.webp")),
        (
            ResourceLink(uri="https://www.youtube.com/watch?v=x"),
            Linked("video/mp4", "https://www.youtube.com/watch?v=x"),
        ),
        (ResourceLink(uri="note.txt", name="My note"), Text("File My note:\n\nhello\n")),
    ],
)
async def test_resource_links_are_taken_and_urls_passed_on_unfetched(
    here: Path, link: ResourceLink, part: Any
) -> None:
    (here / "note.txt").write_text("hello")
    assert (await attach([link], Settings())).parts == (part,)


LONG = "a" * 2_100


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"https://{LONG}[/x.png", "not a URL that can be passed on"),
        (f"https://{LONG}℀.com/x.png", "not a URL that can be passed on"),
        ("https://e.org:99999/x.png", "not a URL that can be passed on"),
        ("https://[", "not a URL that can be passed on"),
        (f"https://e.org/{LONG * 4}", "URL has more than 8,192 characters"),
        ("a/" * 5_000_000, "path has more than 8,192 characters"),
        ("https://me:pass@e.org/a.png", "user name or password"),
        (f"file://{LONG}[/x", "Write file:///PATH"),
        (f"file://{LONG}℀/x", "Write file:///PATH"),
        ("file://folder/x", "Write file:///PATH, with three slashes"),
        ("", "Give a path"),
        ("nowhere.txt", "A relative path starts at"),
    ],
)
async def test_what_is_wrong_with_a_path_or_url_is_told(here: Path, url: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        await attach([url], Settings())
    assert str(refused.value).startswith("files[0]: ")
    assert said in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("url", ["https://e.org/a.zip", "https://e.org/a.svg", "https://e.org/a.gif"])
async def test_urls_of_a_kind_that_is_not_taken_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="Taken: images"):
        await attach([url], Settings())


async def test_data_urls_are_judged_by_their_content(here: Path) -> None:
    url = "data:application/octet-stream;base64," + base64.b64encode(PDF).decode()
    attached = await attach([url], Settings())
    assert attached.parts == (Inline("application/pdf", base64.b64encode(PDF).decode()),)
    assert attached.binary
    with pytest.raises(InputError, match="broken"):
        await attach(["data:image/png;base64,!!!"], Settings())


@pytest.mark.parametrize("tool", ["ask_gemini", "extract_json"])
async def test_images_go_on_both_dialects(at: Desk, sim: Simulator, here: Path, tool: str) -> None:
    (here / "a.png").write_bytes(PNG)
    arguments: dict[str, Any] = (
        {"prompt": "What is it?"} if tool == "ask_gemini" else {"schema": {"type": "object"}}
    )
    reply = await at.call(tool, files=["a.png"], **arguments)
    assert not reply.is_error
    assert base64.b64encode(PNG).decode() in str(sim.calls[-1].body)
    assert ("/openai/" in sim.calls[-1].path) == (at.settings.dialect == "chat")


@pytest.mark.parametrize("content", [PDF, _wav(), _iso(b"isom")], ids=["pdf", "audio", "video"])
@pytest.mark.parametrize("tool", ["ask_gemini", "extract_json"])
async def test_other_binary_kinds_go_native(
    at: Desk, sim: Simulator, here: Path, tool: str, content: bytes
) -> None:
    (here / "a").write_bytes(content)
    arguments: dict[str, Any] = (
        {"prompt": "What is it?"} if tool == "ask_gemini" else {"schema": {"type": "object"}}
    )
    reply = await at.call(tool, files=["a"], **arguments)
    assert not reply.is_error
    assert ":streamGenerateContent" in sim.calls[-1].path


async def test_an_open_model_is_chosen_for_the_file_and_a_named_one_refused(
    sim: Simulator, here: Path
) -> None:
    (here / "a.pdf").write_bytes(PDF)
    async with desk(sim, model="gemini-2.5-pro") as at:
        reply = await at.call("ask_gemini", prompt="Read it.", files=["a.pdf"])
        assert "gemini-3-flash-preview" in sim.calls[-1].path
        assert "Answered by gemini-3-flash-preview: the default model, gemini-2.5-pro, cannot" in reply.text
        asked = len(sim.calls)
        with pytest.raises(InputError, match=r"gemini-2.5-pro.*Models that have it: gemini-3-flash-preview"):
            await at.call("ask_gemini", prompt="Read it.", files=["a.pdf"], model="gemini-2.5-pro")
        assert len(sim.calls) == asked


def test_a_folder_of_a_user_who_is_not_there_holds_no_file() -> None:
    (folder,) = resolve_folders(["~nobody-of-this-name/reports"])
    assert not Path(folder).exists()


async def test_few_calls_read_their_files_at_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, most, open_now = [0], [0], threading.Event()
    lock = threading.Lock()

    def read(*_: object) -> Attached:
        with lock:
            reading[0] += 1
            most[0] = max(most[0], reading[0])
        open_now.wait(10)
        with lock:
            reading[0] -= 1
        return Attached()

    monkeypatch.setattr("runapi_mcp.files._attach", read)
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(attach, ["a.png"], Settings())
        await became(lambda: reading[0] >= 8)
        await anyio.wait_all_tasks_blocked()
        open_now.set()
    assert most[0] == 8


def test_where_no_folder_can_be_walked_what_was_opened_is_asked_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, outside = tmp_path / "here", tmp_path / "outside"
    here.mkdir()
    outside.mkdir()
    for folder, text in ((here, "this"), (outside, "canary")):
        (folder / "a.txt").write_text(text)
    monkeypatch.setattr(paths, "_WALKS", False)
    reach = Reach((here.resolve(),))
    assert reach.read(here / "a.txt", 10) == b"this"
    # For as long as it is opened, the folder is a link that leads out.
    monkeypatch.setattr(paths, "_open_without_links", lambda _, flags: os.open(outside / "a.txt", flags))
    with pytest.raises(InputError, match="changed while it was being opened") as refused:
        reach.read(here / "a.txt", 10)
    assert str(outside) not in str(refused.value)
