"""The tables and the picture of measured figures: what they say, whatever the figures are."""

import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks import picture, starts
from benchmarks.starts import Starts
from benchmarks.table import README, Row, Section, find_newest, read_rows, save, write_section

ROWS = [
    Row(
        "one, ms",
        "1,475",
        [("bare Python", "34"), ("httpx + httpx-sse", "100%; 8")],
        "≤ 2 × other: 1.1",
        True,
    ),
    Row("two", "10% (20)", [], "≤ 1", False),
    Row("three", "nothing", []),
]


def test_rows_are_read_as_they_were_written() -> None:
    assert list(read_rows(write_section(Section("Title", ROWS), {})).values()) == ROWS


def test_a_row_that_does_not_hold_says_no() -> None:
    lines = write_section(Section("Title", ROWS), {}).splitlines()
    assert "| two | **10% (20)** |  | ≤ 1 | **no** |" in lines
    assert sum("**no**" in line for line in lines) == 1


def test_a_section_says_what_is_measured_beside_and_what_is_not_here() -> None:
    text = write_section(Section("Title", ROWS, peers=["httpx", "no-such-package"]), {})
    assert "httpx 0." in text
    assert "no-such-package is not here" in text


def test_a_newer_version_of_a_peer_is_named() -> None:
    text = write_section(Section("Title", ROWS, peers=["httpx", "anyio"]), {"httpx": "99.1"})
    assert text.count("is out") == 1
    assert "(99.1 is out)" in text


def test_an_index_that_cannot_be_asked_says_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("python", "npm"):
        complains = tmp_path / name
        complains.write_text("#!/bin/sh\necho 'https://index.example/simple' >&2\nexit 1\n")
        complains.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert find_newest() == {}
    assert capfd.readouterr() == ("", "")


def test_newer_versions_come_from_both_indexes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = {
        "python": '[{"name": "openai", "version": "1", "latest_version": "2"}]',
        "npm": '{"zod": {"current": "3", "latest": "4"}, "not-installed": {"latest": "5"}}',
    }
    for name, text in said.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho '{text}'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert find_newest() == {"openai": "2", "zod": "4"}


def test_a_bound_whose_peer_is_missing_is_not_said_to_hold() -> None:
    found = {name: Starts([0.1], [0.1], [0.1], [50.0]) for name in ("ours", "bare Python", "SDK hello")}
    row = starts._greeting(found["ours"], found)
    assert "TypeScript SDK: not measured" in row.bound
    assert row.holds is None


def test_a_section_is_written_alone_in_its_own_place(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    places = "<!-- a:begin -->\n<!-- a:end -->\n\nprose\n\n<!-- b:begin -->\nold\n<!-- b:end -->\n"
    page.write_text(places, encoding="utf-8")
    save("a", "new", page)
    assert page.read_text(encoding="utf-8") == places.replace("a:begin -->\n", "a:begin -->\n\nnew\n\n")


def test_every_section_has_a_place_in_the_readme() -> None:
    page = README.read_text(encoding="utf-8")
    for name in program.plan("", quick=True, like=""):
        assert page.count(f"<!-- {name}:begin -->") == page.count(f"<!-- {name}:end -->") == 1, name


def run_program(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    def plan(base: str, *, quick: bool, like: str) -> Mapping[str, Callable[[], Section]]:
        return {"some": partial(Section, "Some", ROWS), "fine": partial(Section, "Fine", ROWS[:1])}

    monkeypatch.setattr(program, "plan", plan)
    monkeypatch.setattr(program, "find_newest", dict)
    monkeypatch.setattr(program, "playing", lambda: nullcontext(""))
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])
    return program.main()


def test_quick_figures_are_printed_and_the_readme_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = README.read_bytes()
    assert run_program(monkeypatch, "--quick") == 0
    assert README.read_bytes() == before
    said = capsys.readouterr().out
    assert "### Some" in said
    assert "### Fine" in said
    assert "Does not hold: two." in said


def test_where_all_must_hold_a_bound_that_does_not_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_program(monkeypatch, "--quick", "--hold", "some") == 1
    assert run_program(monkeypatch, "--quick", "--hold", "fine") == 0


def test_a_name_that_is_none_is_told_which_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run_program(monkeypatch, "sone")
    assert "there is no sone; there are some, fine" in capsys.readouterr().err


@pytest.mark.parametrize("scheme", picture.SCHEMES)
def test_the_picture_is_the_one_of_the_table(scheme: str) -> None:
    drawn = picture.draw(README.read_text(encoding="utf-8"), picture.SCHEMES[scheme])
    kept = (README.parents[1] / "docs" / f"figures-{scheme}.svg").read_text(encoding="utf-8")
    assert kept == drawn, "run: python -m benchmarks.picture"


def test_the_picture_says_in_words_what_it_shows() -> None:
    row = Row("cancel → upstream closed, ms", "2.2", [("SDK with openai", "1,002.5")])
    drawn = picture.draw(write_section(Section("Title", [row]), {}), picture.SCHEMES["light"])
    described = drawn.partition("<desc")[2].partition("</desc>")[0]
    assert "runapi-mcp 2.2 ms" in described
    assert "1,002 ms" in described


def test_who_was_not_measured_is_not_drawn() -> None:
    row = Row("first text in a terminal, ms", "607")
    drawn = picture.draw(write_section(Section("Title", [row]), {}), picture.SCHEMES["dark"])
    assert drawn.count("<rect") == 2, "the page, and one bar"


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", picture.SCHEMES)
def test_text_and_bars_stand_out_from_the_page(scheme: str) -> None:
    colours = picture.SCHEMES[scheme]
    page = _luminance(colours.page)
    for colour, least in {colours.text: 4.5, colours.quiet: 4.5, colours.ours: 3, colours.other: 3}.items():
        bright, dark = sorted((page, _luminance(colour)), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= least, colour
