"""What does not stream by: a long answer in memory, a heartbeat in silence, pages of a long text."""

import time

from benchmarks.stdio import KEY, OURS, Host
from benchmarks.table import Row, Section, median
from benchmarks.upstream import Script


def section(base: str, *, quick: bool) -> Section:
    made = Section("Memory, heartbeats, pages")
    made.rows.append(_long(base, megabytes=5 if quick else 50))
    made.rows.append(_heartbeats(base, seconds=6 if quick else 12))
    made.rows.append(_pages(base))
    return made


def _long(base: str, megabytes: int) -> Row:
    size = 4000
    script = Script(chunks=megabytes * 1_000_000 // size, size=size, joined=4)
    with Host(OURS, {**KEY, "RUNAPI_BASE_URL": base}) as host:
        host.open().result(host.call("ask_gemini", prompt="[[chunks=1]]"))
        before = host.resident()
        host.result(host.call("ask_gemini", "t", prompt=str(script), wait_seconds=120))
        most, after = host.resident("VmHWM") - before, host.resident() - before
    return Row(
        f"{megabytes} MB answer: memory at most / kept, MiB",
        f"{most:.0f} / {after:.0f}",
        [("the text itself", f"{megabytes * 1e6 / 2**20:.0f}")],
    )


def _heartbeats(base: str, seconds: int) -> Row:
    """CPU of a call in silence, with the progress that says it is alive."""
    with Host(OURS, {**KEY, "RUNAPI_BASE_URL": base}) as host:
        host.open().result(host.call("ask_gemini", prompt="[[chunks=1]]"))
        time.sleep(0.5)
        before, heard = host.cpu(), 0
        asked = host.call("ask_gemini", "t", prompt=str(Script(chunks=1, wait=seconds)))
        while "method" in host.receive():
            heard += 1
        spent = host.cpu() - before
    del asked
    return Row(
        "CPU of a silent second, with its heartbeats, ms",
        f"{spent / seconds * 1000:.2f}",
        [("heartbeats", str(heard))],
    )


def _pages(base: str) -> Row:
    """get_result at the start and at the end of a 4 MB text: it must not cost more at the end."""
    script = Script(chunks=1000, size=4000, joined=4)
    with Host(OURS, {**KEY, "RUNAPI_BASE_URL": base}) as host:
        host.open()
        answer = host.result(host.call("ask_gemini", prompt=str(script), wait_seconds=60))
        handle = next(
            receipt["handle"] for key, receipt in answer["result"]["_meta"].items() if key.endswith("receipt")
        )
        took: dict[int, list[float]] = {100_000: [], 3_900_000: []}
        for _ in range(10):
            for offset, each in took.items():
                began = time.perf_counter()
                page = host.result(host.call("get_result", handle=handle, offset=offset))
                each.append((time.perf_counter() - began) * 1000)
                assert not page["result"].get("isError"), page
    first, last = map(median, took.values())
    return Row(
        "get_result of a 4 MB text, page at 0.1 / 3.9 MB, ms",
        f"{first:.1f} / {last:.1f}",
        (),
        "last ≤ 2 × first",
        last <= 2 * first,
    )
