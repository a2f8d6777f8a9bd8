"""Where the schema of an extraction comes from: a file as editors leave it, stdin, a class, a URL."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from runapi_mcp.sim import Simulator
from terminal.typed import Run

SCHEMA = '{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}'
ADA = {"name": "Ada"}


@pytest.fixture
def note(tmp_path: Path) -> str:
    (tmp_path / "note.txt").write_text("name: Ada")
    return "note.txt"


@pytest.fixture
def served() -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # its name
            found = self.path == "/person.json"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(b"\xef\xbb\xbf" + SCHEMA.encode() if found else b"{}")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_a_file_may_be_in_any_unicode(run: Run, tmp_path: Path, note: str, encoding: str) -> None:
    (tmp_path / "person.json").write_bytes(SCHEMA.encode(encoding))
    assert json.loads(run("extract", "-s", "person.json", note).stdout) == ADA


def test_it_may_come_from_stdin_or_be_typed(run: Run, note: str) -> None:
    assert json.loads(run("extract", "-s", "-", note, stdin=SCHEMA).stdout) == ADA
    assert json.loads(run("extract", "-s", SCHEMA, note).stdout) == ADA
    both = run("extract", "-s", "-", "-", stdin=SCHEMA)
    assert (both.returncode, "There is one stdin" in both.stderr) == (2, True)


def test_it_may_be_a_class_of_pydantics(run: Run, tmp_path: Path, note: str) -> None:
    (tmp_path / "people_of_a_test.py").write_text(
        "from pydantic import BaseModel\n\n\nclass Person(BaseModel):\n    name: str\n"
    )
    assert json.loads(run("extract", "-s", "people_of_a_test:Person", note).stdout) == ADA
    refused = run("extract", "-s", "people_of_a_test:Nobody", note)
    assert (refused.returncode, "cannot be imported" in refused.stderr) == (2, True)


def test_it_may_be_behind_a_url_that_is_named(run: Run, sim: Simulator, note: str, served: str) -> None:
    assert json.loads(run("extract", "-s", f"{served}/person.json", note).stdout) == ADA
    missing = run("extract", "-s", f"{served}/none.json", note)
    assert (missing.returncode, "none.json cannot be read (HTTP Error 404" in missing.stderr) == (2, True)
    assert len(sim.calls) == 1


def test_a_file_whose_name_begins_with_a_dash_is_told_apart_from_a_flag(run: Run, tmp_path: Path) -> None:
    (tmp_path / "-dash.txt").write_text("name: Ada")
    (tmp_path / "person.json").write_text(SCHEMA)
    caught = run("extract", "-s", "person.json", "-dash.txt")
    assert caught.returncode == 2
    assert "-dash.txt is taken for a flag; for the file write ./-dash.txt" in caught.stderr
    for words in (["./-dash.txt"], ["--", "-dash.txt"]):
        assert json.loads(run("extract", "-s", "person.json", *words).stdout) == ADA
