"""What a call waits for an upstream that is far away: TLS behind a relay that adds 80 ms a round trip.

The server keeps its connections until a prompt says "leave", as upstreams close idle ones after 30 to 75 s;
it answers at once, with one chunk. The relay holds every byte for 40 ms each way; what it cannot hold is the
opening of a connection itself, so a new one costs a round trip more than it says here. Times are those of the
whole server, from the host's line to the answer's, without what follows RunAPI's first byte until its last.
"""

import asyncio
import json
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx

from benchmarks.stdio import KEY, OURS, Host
from benchmarks.table import Row, Section, at_most, median
from benchmarks.upstream import MODEL, Script, events

ROUND_TRIP: Final = 0.08
_CERTIFICATE: Final = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
    "-addext subjectAltName=DNS:localhost -keyout {0}/key.pem -out {0}/certificate.pem"
)


def section(*, quick: bool) -> Section:
    made = Section(f"One call to a TLS upstream {ROUND_TRIP * 1000:.0f} ms away")
    for version in ("TLS 1.3", "TLS 1.2"):
        made.rows.extend(_rows(version, 2 if quick else 6))
    made.notes.append(
        "A round trip more comes with each new connection, which the relay does not delay. One is kept for "
        "300 s, or as long as the upstream keeps it. In TLS 1.3 a new one takes a round trip for its "
        "handshake whether or not its session is resumed (Python's `ssl` sends no early data)."
    )
    return made


def _rows(version: str, rounds: int) -> list[Row]:
    times: dict[str, list[float]] = {"first": [], "second": [], "kept": [], "leave": [], "after": []}
    bare: list[float] = []
    resumed = 0
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(_CERTIFICATE.format(folder).split(), check=True, capture_output=True)
        for _ in range(rounds):
            with _playing(folder, version) as base:
                env = {**KEY, "RUNAPI_BASE_URL": base, "SSL_CERT_FILE": f"{folder}/certificate.pem"}
                with Host(OURS, env) as host:
                    host.open().result(host.call("get_result", handle="none"))  # all is imported
                    for number, name in enumerate(times):
                        began = time.monotonic()
                        result = host.result(host.call("ask_gemini", prompt=f"{number} {name}"))["result"]
                        took = time.monotonic() - began
                        receipt = result["_meta"]["ai.runapi/receipt"]
                        after_first = receipt["seconds"] - receipt["seconds_to_first_byte"]
                        times[name].append((took - after_first) / ROUND_TRIP)
                        answer = json.dumps(result)
                        assert "begun anew" in answer or "resumed" in answer, answer
                        resumed += "resumed" in answer
                        time.sleep(0.2)
                bare.append(_ask_bare(base, folder) / ROUND_TRIP)
    first, second, kept, leave, after = times.values()
    held = median([*second, *kept, *leave])
    return [
        Row(f"{version}: the first call, round trips", f"{median(first):.2f}"),
        at_most(
            f"{version}: the second to the fourth call, round trips",
            held,
            1.2,
            [("httpx alone", f"{median(bare):.2f}")],
            form=".2f",
        ),
        Row(
            f"{version}: a call after the upstream has closed the connection, round trips",
            f"{median(after):.2f}",
            [("sessions resumed", f"{resumed} of {rounds}")],
            "all resumed",
            resumed == rounds,
        ),
    ]


def _ask_bare(base: str, folder: str) -> float:
    """Return the seconds that the second of two requests of httpx takes."""
    trusted = ssl.create_default_context(cafile=f"{folder}/certificate.pem")
    url = f"{base}/v1beta/openai/chat/completions"
    with httpx.Client(verify=trusted, trust_env=False) as client:
        client.post(url, json={"model": MODEL})
        began = time.monotonic()
        client.post(url, json={"model": MODEL})
        return time.monotonic() - began


@contextmanager
def _playing(folder: str, version: str) -> Iterator[str]:
    """Run the server and its relay in a process of their own; gives the base URL."""
    command = [sys.executable, "-m", "benchmarks.tls", folder, version]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            sizes = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            asked = await reader.readexactly(int(sizes[0].split(b":")[1])) if sizes else b""
            resumed = writer.get_extra_info("ssl_object").session_reused
            chat = b"chat/completions" in head
            said = events("chat" if chat else "native", Script(chunks=1, size=5))
            body = b"".join(said).replace(b'"word "', b'"resumed"' if resumed else b'"begun anew"')
            if head.startswith(b"GET"):
                body = json.dumps({"data": [{"id": MODEL, "object": "model"}]}).encode()
            kind = b"application/json" if head.startswith(b"GET") else b"text/event-stream"
            answer = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s"
            writer.write(answer % (kind, len(body), body))
            await writer.drain()
            if b"leave" in asked:
                break
    writer.close()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    try:
        while piece := await reader.read(65536):
            loop.call_later(ROUND_TRIP / 2, writer.write, piece)
    except ConnectionError:
        pass
    loop.call_later(ROUND_TRIP / 2, writer.close)


async def _serve(folder: str, version: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(folder, "certificate.pem"), Path(folder, "key.pem"))
    if version == "TLS 1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    both: set[asyncio.Task[None]] = set()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        both.update({asyncio.create_task(_relay(reader, back)), asyncio.create_task(_relay(there, writer))})

    relay = await asyncio.start_server(meet, "127.0.0.1", 0)
    print(f"https://localhost:{relay.sockets[0].getsockname()[1]}", flush=True)
    async with server, relay:
        await relay.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
