"""What a server over stdio holds of answers and questions that are over, and of many that run at once."""

import os
import tempfile
import time
from pathlib import Path

from benchmarks.stdio import KEY, OURS, Host
from benchmarks.table import Row, Section, at_most
from benchmarks.upstream import Script

_IMAGE_BYTES = 19_000_000


def held(base: str, folder: str) -> Host:
    """A server whose files may come from `folder`, after its first call."""
    host = Host(OURS, {**KEY, "RUNAPI_BASE_URL": base, "RUNAPI_MCP_ALLOW_DIR": folder})
    host.open().result(host.call("ask_gemini", prompt="[[chunks=1]]"))
    return host


def answers(base: str, folder: str, number: int) -> Row:
    """Answers of 2 MB, one after the other, of which the host reads the first page."""
    with held(base, folder) as host:
        before = host.resident()
        script = Script(chunks=20, size=100_000)
        for count in range(number):
            host.result(host.call("ask_gemini", prompt=f"{count} {script}"))
        return told(f"{number} answers of 2 MB", host, before)


def images(base: str, folder: str, number: int) -> Row:
    """Questions about an image of 19 MB, one after the other."""
    with held(base, folder) as host:
        before = host.resident()
        for count in range(number):
            host.result(
                host.call("ask_gemini", prompt=f"{count} [[chunks=3]]", files=[f"{folder}/image.png"])
            )
        return told(f"{number} questions about an image of 19 MB", host, before)


def at_once(base: str, folder: str, number: int) -> Row:
    """The same, all at once, each of which takes its time."""
    with held(base, folder) as host:
        before = host.resident()
        asked = {
            host.call("ask_gemini", prompt=f"{count} [[chunks=3 wait=8]]", files=[f"{folder}/image.png"])
            for count in range(number)
        }
        refused = 0
        while asked:
            message = host.receive()
            asked.discard(message["id"])
            refused += bool(message["result"].get("isError"))
        return told(f"{number} of them at once, {refused} refused", host, before)


def pings(base: str, folder: str) -> Row:
    """How long a ping waits while a question about three images of 19 MB is begun, sent and ended."""
    with held(base, folder) as host:
        number = host.call("ask_gemini", prompt="[[chunks=3 wait=1]]", files=[f"{folder}/image.png"] * 3)
        waits, done = [], False
        while not done:
            began = time.perf_counter()
            ping = host.request("ping")
            while (message := host.receive()).get("id") != ping:
                done = done or message.get("id") == number
            waits.append(time.perf_counter() - began)
        return at_most("the longest ping while one about three of them is asked, ms", max(waits) * 1000, 50)


def told(what: str, host: Host, before: float) -> Row:
    now, most = host.resident() - before, host.resident("VmHWM") - before
    return Row(f"{what}, MiB", f"{now:.0f}", [("at most", f"{most:.0f}")])


def section(base: str, *, quick: bool) -> Section:
    made = Section("What a server over stdio holds, above what it did after its first call")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(_IMAGE_BYTES))
        made.rows.append(answers(base, folder, 30 if quick else 300))
        made.rows.append(images(base, folder, 10 if quick else 60))
        made.rows.append(at_once(base, folder, 8 if quick else 20))
        made.rows.append(pings(base, folder))
    return made
