"""What a caller still gets, whatever others do: answers that were handed out, and a turn in time.

Real servers, each asked as a host would; beside each figure what it was before there were limits.
"""

import base64
import http.client
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import anyio

from benchmarks.hostile import ADA, COSTLY, HONEST, MALLORY, SETTINGS, client, post
from benchmarks.hostile import Seen as Answered
from benchmarks.served import Served, call, served
from benchmarks.stdio import KEY, OURS, Host
from benchmarks.table import Row, Section, at_most
from benchmarks.upstream import Script
from runapi_mcp.sim import simulate

Result = Mapping[str, Any]
SHORT: Final = Script(size=100)
_TOKENS: Final = {"RUNAPI_MCP_TOKENS": SETTINGS["RUNAPI_MCP_TOKENS"]}
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_RECEIPT: Final = "ai.runapi/receipt"


def ask(port: int, token: str, tool: str, **arguments: object) -> Result:
    """Call a tool; return its result, or the refusal as one that is an error."""
    headers, body = call(tool, **arguments)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST", "/mcp", body, headers | {"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    if answer.status != 200:
        return {"isError": True, "content": [{"text": said}]}
    message: dict[str, Any] = json.loads(said.strip().rpartition("\ndata: ")[2].removeprefix("data: "))
    result: Result = message["result"]
    return result


def text_of(result: Result) -> str:
    return "\n".join(str(block.get("text", "")) for block in result["content"])


def receipt_of(result: Result) -> Result:
    receipt: Result = result.get("_meta", {}).get(_RECEIPT, {})
    return receipt


def is_there(result: Result) -> bool:
    """Whether a result has an answer in it, and not that there is none."""
    return not result.get("isError") and "word word" in text_of(result)


# ---------------------------------------------------------------- answers that were handed out


def three_images(base: str) -> Row:
    """A question about three images of 19 MB over stdio, handed over and fetched when it is over."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.png"
        image.write_bytes(_PNG + bytes(19_000_000))
        settings = {"RUNAPI_BASE_URL": base, "RUNAPI_MCP_ALLOW_DIR": folder, "RUNAPI_MCP_STORE": "memory"}
        with Host(OURS, KEY | settings) as host:
            host.open()
            prompt = f"Three {Script(size=100, wait=5)}"
            number = host.call("ask_gemini", prompt=prompt, files=[str(image)] * 3, wait_seconds=1)
            begun: Result = host.result(number)["result"]
            handle = receipt_of(begun).get("handle", "")
            time.sleep(6)  # nobody follows it when it ends
            fetched: Result = host.result(host.call("get_result", handle=handle, wait_seconds=60))["result"]
    told = receipt_of(begun).get("status")
    return Row(
        "three images of 19 MB, `wait_seconds: 1`, `get_result`: the answer",
        "there" if is_there(fetched) else "lost",
        [("first", "“no generation is here”"), ("at first it was", str(told))],
        "there",
        told == "running" and is_there(fetched),
    )


def four_calls(server: Served) -> Row:
    """Four large calls of one caller, while another's answer waits to be fetched."""
    script = Script(chunks=20, size=100_000, wait=2)
    begun = ask(server.port, ADA, "ask_gemini", prompt=f"Mine {script}", wait_seconds=1)
    image = "data:image/png;base64," + base64.b64encode(_PNG + bytes(15_000_000)).decode()
    time.sleep(2)
    made = [
        ask(server.port, MALLORY, "ask_gemini", prompt=f"{n} {SHORT}", files=[image] * 3, fresh=True)
        for n in range(4)
    ]
    fetched = ask(server.port, ADA, "get_result", handle=receipt_of(begun).get("handle", ""))
    return Row(
        "an answer that waits to be fetched, after four calls of 60 MB by another",
        "there" if is_there(fetched) else "lost",
        [("first", "gone"), ("of the four were answered", str(sum(map(is_there, made))))],
        "there",
        receipt_of(begun).get("status") == "running" and is_there(fetched),
    )


def long_answer(server: Served) -> Row:
    """An answer of 70 MB, and its next page."""
    script = Script(chunks=700, size=100_000)
    first = ask(server.port, ADA, "ask_gemini", prompt=f"Long {script}", fresh=True, wait_seconds=100)
    receipt = receipt_of(first)
    following = ask(server.port, ADA, "get_result", handle=receipt.get("handle", ""), offset=40_000)
    return Row(
        "an answer of 70 MB: its next page",
        "there" if is_there(following) else "lost",
        [
            ("first", "the handle was dead"),
            ("it ended as", str(receipt.get("status"))),
            ("by its limit", "said" if "RUNAPI_MCP_MAX_ANSWER_BYTES" in text_of(first) else "not said"),
        ],
        "there, and partial",
        is_there(following) and receipt.get("status") == "partial",
    )


def undelivered(server: Served) -> Row:
    """Answers of 20 MB that one caller has handed over and does not fetch, until it is refused."""
    script = Script(chunks=100, size=100_000, wait=1)
    handles: list[str] = []
    begun: Result = {}
    for number in range(100):
        begun = ask(
            server.port, MALLORY, "ask_gemini", prompt=f"{number} {script}", wait_seconds=0.2, fresh=True
        )
        if begun.get("isError"):
            break
        handles.append(str(receipt_of(begun).get("handle")))
        time.sleep(2)
    named = sum(handle in text_of(begun) for handle in handles)
    there = sum(is_there(ask(server.port, MALLORY, "get_result", handle=handle)) for handle in handles)
    other = is_there(ask(server.port, ADA, "ask_gemini", prompt=f"Mine {SHORT}", fresh=True))
    return Row(
        "answers of 20 MB that a caller does not fetch, until it is refused: still there",
        f"{there} of {len(handles)}",
        [
            ("first", "those that were over were dropped"),
            ("named in the refusal", str(named)),
            ("another caller is answered", "yes" if other else "no"),
        ],
        "all, and five named",
        0 < len(handles) < 100 and there == len(handles) and named == min(5, there) and other,
    )


# ---------------------------------------------------------------- a turn in time


class Provider(BaseHTTPRequestHandler):
    """An identity provider that publishes its keys, until it falls silent."""

    keys: bytes = b""
    silent: Final = threading.Event()
    asked: Final = threading.Event()

    def do_GET(self) -> None:
        if self.silent.is_set():
            self.asked.set()
            time.sleep(60)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.keys)))
        self.end_headers()
        self.wfile.write(self.keys)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


AUDIENCE: Final = "https://mcp.example.com/mcp"


@contextmanager
def providing() -> Iterator[tuple[str, Callable[[str], str]]]:
    """Run an identity provider; gives its URL, and what makes a token: by the key `own` a good one."""
    import jwt
    from cryptography.hazmat.primitives.asymmetric import ec

    own, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(own.public_key()))
    Provider.keys = json.dumps({"keys": [public | {"kid": "own"}]}).encode()
    Provider.silent.clear()
    Provider.asked.clear()
    provider = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    provider.daemon_threads = True
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{provider.server_address[1]}"

    def token(key_id: str) -> str:
        said = {"iss": url, "aud": AUDIENCE, "sub": "ada", "exp": int(time.time()) + 600}
        return jwt.encode(said, own if key_id == "own" else other, algorithm="ES256", headers={"kid": key_id})

    try:
        yield url, token
    finally:
        provider.shutdown()


def forged_tokens(base: str, *, known: bool) -> Row:
    """How long a good token waits while nine forged ones do, and the identity provider does not answer."""
    with providing() as (issuer, token):
        options = (
            "--auth",
            "jwt",
            "--issuer",
            issuer,
            "--audience",
            AUDIENCE,
            "--jwks-url",
            f"{issuer}/keys",
        )
        with served(base, *options) as server, ThreadPoolExecutor(9) as forgers:
            if known:
                ask(server.port, token("own"), "list_models")
                time.sleep(31)  # so that an unknown key may have the keys fetched again
            Provider.silent.set()
            forged = [forgers.submit(ask, server.port, token(f"forged {n}"), "list_models") for n in range(9)]
            asked = Provider.asked.wait(20)
            began = time.monotonic()
            answer = ask(server.port, token("own"), "list_models")
            waited = time.monotonic() - began
            refused = sum(bool(each.result().get("isError")) for each in forged)
    let_in = not answer.get("isError")
    others = [("first", "100"), ("let in", "yes" if let_in else "no"), ("forged, refused", str(refused))]
    what = "whose key is known" if known else "when no key is known yet"
    most = 1.0 if known else 6.0
    row = at_most(
        f"nine forged tokens, a silent identity provider: a good token {what} waits, s",
        *(waited, most, others),
        form=".2f",
    )
    return Row(
        row.what, row.ours, row.others, row.bound, row.holds and asked and refused == 9 and let_in == known
    )


async def costly_schemas() -> Row:
    """How long an extraction takes while another caller has 20 costly schemas checked."""
    tool, arguments = HONEST["extract"]
    headers, body = call(tool, **arguments)
    seen = Answered()
    async with simulate(pace=0.001) as sim:
        with served(sim.base_url, "--auth", "token", **SETTINGS) as server:
            async with client(server.url, ADA) as honest:

                async def extract() -> float:
                    began = time.monotonic()
                    answer = await honest.post("/mcp", content=body, headers=headers)
                    assert answer.status_code == 200, answer.text
                    assert '"isError":true' not in answer.text, answer.text
                    return time.monotonic() - began

                alone = min([await extract() for _ in range(4)])
                async with anyio.create_task_group() as group:
                    for number in range(20):
                        costly, asked = call("extract_json", schema=COSTLY, text=f"aaaa {number}", fresh=True)
                        group.start_soon(_post, server.url, seen, asked, costly)
                    await anyio.sleep(2)  # they have come, and the first is being checked
                    beside = [await extract() for _ in range(8)]
                    group.cancel_scope.cancel()
    return at_most(
        "20 costly schemas of one caller: another's extraction, s",
        *(max(beside), 8.0, [("first", "29.6"), ("alone", f"{alone:.2f}"), ("alone, first", "0.3")]),
        form=".2f",
    )


async def _post(url: str, seen: Answered, body: bytes, headers: dict[str, str]) -> None:
    await post(url, seen, body, **headers)


def section(base: str) -> Section:
    made = Section("What a caller gets, whatever others do")
    made.rows.append(three_images(base))
    for attack in (four_calls, long_answer, undelivered):
        with served(base, "--auth", "token", **_TOKENS) as server:
            made.rows.append(attack(server))
    made.rows.extend([forged_tokens(base, known=True), forged_tokens(base, known=False)])
    made.rows.append(anyio.run(costly_schemas))
    made.notes.append("First is what it was before there were limits. Servers have their default settings.")
    return made
