"""merge and unmerge: one entry in, one entry out, not a byte else."""

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hosts.samples import CODEX, GOOSE, JSON_EDGES, JSONC_EDGES, TOML_EDGES, VSCODE, YAML_EDGES, ZED
from runapi_mcp.errors import ConfigError
from runapi_mcp.hosts.formats import Format, lookup
from runapi_mcp.hosts.formats.jsonc import JSON, JSONC
from runapi_mcp.hosts.formats.toml import TOML
from runapi_mcp.hosts.formats.yaml import YAML
from runapi_mcp.wire.types import JsonObject

ENTRY: JsonObject = {"command": "/opt/ünï code/runapi-mcp", "args": ["--hold", "20"], "env": {"A": 'q"\\'}}
OTHER: JsonObject = {"command": "/opt/other"}
JSON_PATH, TOML_PATH, YAML_PATH = (
    ("mcpServers", "runapi"),
    ("mcp_servers", "runapi"),
    ("extensions", "runapi"),
)
EDGES = [
    *[pytest.param(JSON, JSON_PATH, text, id=f"json {text!r}") for text in JSON_EDGES],
    *[pytest.param(JSONC, JSON_PATH, text, id=f"jsonc {text!r}") for text in JSON_EDGES + JSONC_EDGES],
    *[pytest.param(TOML, TOML_PATH, text, id=f"toml {text!r}") for text in TOML_EDGES],
    *[pytest.param(YAML, YAML_PATH, text, id=f"yaml {text!r}") for text in YAML_EDGES],
]
Keys = tuple[str, ...]


@pytest.mark.parametrize(("form", "path", "text"), EDGES)
def test_an_entry_is_put_where_it_belongs_and_reads_back_as_it_was(
    form: Format, path: Keys, text: str
) -> None:
    assert lookup(form.read(form.merge(text, path, ENTRY)), path) == ENTRY


@pytest.mark.parametrize(("form", "path", "text"), EDGES)
def test_putting_the_same_entry_twice_changes_nothing(form: Format, path: Keys, text: str) -> None:
    once = form.merge(text, path, ENTRY)
    assert form.merge(once, path, ENTRY) == once


@pytest.mark.parametrize(("form", "path", "text"), EDGES)
def test_an_entry_that_is_replaced_leaves_no_trace_of_the_old_one(
    form: Format, path: Keys, text: str
) -> None:
    replaced = form.merge(form.merge(text, path, OTHER), path, ENTRY)
    assert lookup(form.read(replaced), path) == ENTRY
    assert "/opt/other" not in replaced


@pytest.mark.parametrize(
    ("form", "path", "text"),
    EDGES,
)
def test_taking_the_entry_out_says_what_the_text_said_before(form: Format, path: Keys, text: str) -> None:
    out = form.unmerge(form.merge(text, path, ENTRY), path)
    assert {k: v for k, v in form.read(out).items() if v} == {k: v for k, v in form.read(text).items() if v}


@pytest.mark.parametrize(
    ("form", "path", "text"),
    [
        (JSONC, ("servers", "runapi"), VSCODE),
        (JSONC, ("context_servers", "runapi"), ZED),
        (TOML, TOML_PATH, CODEX),
        (YAML, YAML_PATH, GOOSE),
        *[(JSONC, JSON_PATH, text) for text in JSONC_EDGES if '"a": {}' in text],
        *[(JSON, JSON_PATH, text) for text in JSON_EDGES if '"a":' in text and "mcpServers" in text],
        *[(TOML, TOML_PATH, text) for text in TOML_EDGES if text.endswith("\n") and "[" in text],
        *[(YAML, YAML_PATH, text) for text in YAML_EDGES if "cmd: x" in text and text.endswith("\n")],
    ],
)
def test_in_and_out_is_byte_identical_even_without_a_backup(form: Format, path: Keys, text: str) -> None:
    assert form.unmerge(form.merge(text, path, ENTRY), path) == text


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (JSON, '{"a": 1,}'),
        (JSON, '{"a": 1} // comment'),
        (JSON, "[]"),
        (JSON, '{"mcpServers": {'),
        (JSONC, '{"a": 1 "b": 2}'),
        (JSONC, '{"a": 01}'),
        (JSONC, "{a: 1}"),
        (JSONC, '{"a": "\n"}'),
        (JSONC, "{} {}"),
        (JSONC, '{"a": /* open }'),
        (JSONC, '{"a":' * 400),
        (TOML, "a = \n"),
        (TOML, "[a]\n[a]\n"),
        (YAML, "a: [1\n"),
        (YAML, "a: 1\na: 2\n"),
        (YAML, "- 1\n"),
        (YAML, "a: 2020-13-45\n"),
        (YAML, "a: &a [*a]\n"),
        (JSON, '{"a": ' + "9" * 5000 + "}"),
        (TOML, "a = " + "9" * 5000),
    ],
    ids=lambda given: given[:20] if isinstance(given, str) else given.name,
)
def test_a_broken_config_is_refused(form: Format, text: str) -> None:
    with pytest.raises(ConfigError):
        form.merge(text, JSON_PATH, ENTRY)


def test_of_a_name_that_is_there_twice_the_last_counts_as_it_does_to_hosts() -> None:
    text = '{"mcpServers": {"runapi": {"command": "a"}}, "mcpServers": {"runapi": {"command": "b"}, "c": {}}}'
    merged = JSONC.merge(text, JSON_PATH, ENTRY)
    assert merged.startswith('{"mcpServers": {"runapi": {"command": "a"}}, ')
    assert JSONC.read(merged) == {"mcpServers": {"runapi": ENTRY, "c": {}}}


@pytest.mark.parametrize(("form", "path"), [(JSON, JSON_PATH), (TOML, TOML_PATH)], ids=["JSON", "TOML"])
def test_characters_that_a_format_has_escaped_come_back_as_they_were(form: Format, path: Keys) -> None:
    odd: JsonObject = {"args": ["\x7f\x1b\t\u2028\U0001f511", 'a"b\\'], "env": {"ODD.KEY \x7f": "x"}}
    assert lookup(form.read(form.merge("", path, odd)), path) == odd


def test_a_refusal_says_where_the_config_is_broken() -> None:
    with pytest.raises(ConfigError, match="line 3, column 3"):
        JSONC.read('{\n  "a": 1\n  "b": 2\n}')
    with pytest.raises(ConfigError, match="line 3"):
        TOML.read("a = 1\n\nb = \n")
    with pytest.raises(ConfigError, match="line 2"):
        YAML.read("a: 1\n  b: 2\n")


def test_a_refusal_shows_no_value() -> None:
    with pytest.raises(ConfigError, match="duplicate key") as caught:
        YAML.read("TOKEN: hunter2\nTOKEN: sesame\n")
    assert "hunter2" not in str(caught.value)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    ("form", "path", "text"),
    [
        (JSONC, JSON_PATH, '{"mcpServers": []}'),
        (TOML, TOML_PATH, 'mcp_servers = { a = { command = "x" } }\n'),
        (TOML, TOML_PATH, "[[mcp_servers]]\n"),
        (YAML, YAML_PATH, "extensions:\n  - a\n"),
        (YAML, YAML_PATH, "a: 1\n...\n"),
    ],
)
def test_what_cannot_be_changed_safely_is_refused(form: Format, path: Keys, text: str) -> None:
    with pytest.raises(ConfigError, match="by hand"):
        form.merge(text, path, ENTRY)


def test_a_table_in_the_middle_is_taken_out_with_those_inside_it() -> None:
    ours = '[mcp_servers.runapi]\ncommand = "x"\n\n[mcp_servers.runapi.env]\nA = "b"\n\n'
    text = f'[a]\nb = 1\n\n{ours}# about c\n[c]\nd = "[mcp_servers.runapi]"\n'
    assert TOML.unmerge(text, TOML_PATH) == text.replace(ours, "")


names = st.sampled_from(["a", "b", "mcpServers", "ünï", 'q"q', "with space"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=12,
)
gaps = st.sampled_from(["", " ", "\n", "\r\n", " // x\n", "/* , } */", "\t"])


@st.composite
def jsonc_texts(draw: st.DrawFn) -> str:
    """Any JSON, with white space, comments and trailing commas strewn in."""

    def write(value: object) -> str:
        gap = draw(gaps)
        if isinstance(value, dict):
            inside = [f"{json.dumps(k)}{draw(gaps)}:{write(v)}" for k, v in value.items()]
        elif isinstance(value, list):
            inside = [write(v) for v in value]
        else:
            return gap + json.dumps(value) + draw(gaps)
        comma = draw(st.sampled_from(["", ","])) if inside else ""
        ends = "{}" if isinstance(value, dict) else "[]"
        joined = ",".join(draw(gaps) + part + draw(gaps) for part in inside)
        return gap + ends[0] + joined + comma + draw(gaps) + ends[1] + draw(gaps)

    servers = draw(st.dictionaries(names, values, min_size=1, max_size=3))
    return write(draw(st.dictionaries(names, values, max_size=3)) | {"mcpServers": servers})


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(jsonc_texts())
def test_any_commented_json_survives_in_and_out_byte_for_byte(text: str) -> None:
    merged = JSONC.merge(text, JSON_PATH, ENTRY)
    assert lookup(JSONC.read(merged), JSON_PATH) == ENTRY
    assert JSONC.unmerge(merged, JSON_PATH) == text


def test_what_reads_yaml_is_installed_with_the_package() -> None:
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert any(wanted.startswith("ruamel.yaml") for wanted in pyproject["project"]["dependencies"])
