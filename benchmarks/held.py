"""What a server over stdio holds of answers and questions that are over, and of many that run at once.

``python -m benchmarks.held [quick]``. Prints MiB above the server's first call; a minute at most.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.stdio import KEY, OURS, Host
from benchmarks.upstream import Script, playing

_IMAGE_BYTES = 19_000_000


def held(base: str, folder: str) -> Host:
    """A server whose files may come from `folder`, after its first call."""
    host = Host(OURS, {**KEY, "RUNAPI_BASE_URL": base, "RUNAPI_MCP_ALLOW_DIR": folder})
    host.open().result(host.call("ask_gemini", prompt="[[chunks=1]]"))
    return host


def answers(base: str, folder: str, number: int) -> None:
    """Answers of 2 MB, one after the other, of which the host reads the first page."""
    with held(base, folder) as host:
        before = host.resident()
        script = Script(chunks=20, size=100_000)
        for count in range(number):
            host.result(host.call("ask_gemini", prompt=f"{count} {script}"))
        told(f"{number} answers of 2 MB", host, before)


def images(base: str, folder: str, number: int) -> None:
    """Questions about an image of 19 MB, one after the other."""
    with held(base, folder) as host:
        before = host.resident()
        for count in range(number):
            host.result(
                host.call("ask_gemini", prompt=f"{count} [[chunks=3]]", files=[f"{folder}/image.png"])
            )
        told(f"{number} questions about an image of 19 MB", host, before)


def at_once(base: str, folder: str, number: int) -> None:
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
        told(f"{number} of them at once, {refused} refused", host, before)


def pings(base: str, folder: str) -> None:
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
        print(
            f"{'worst pings of a question about three, ms':55} {[round(w * 1e3) for w in sorted(waits)[-3:]]}"
        )


def told(what: str, host: Host, before: float) -> None:
    now, most = host.resident() - before, host.resident("VmHWM") - before
    print(f"{what:55} now {now:6.0f} MiB   at most {most:6.0f} MiB", flush=True)


def main() -> None:
    quick = "quick" in sys.argv
    with playing() as base, tempfile.TemporaryDirectory() as folder:
        Path(folder, "image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(_IMAGE_BYTES))
        answers(base, folder, 30 if quick else 300)
        images(base, folder, 10 if quick else 60)
        at_once(base, folder, 8 if quick else 20)
        pings(base, folder)


if __name__ == "__main__":
    main()
