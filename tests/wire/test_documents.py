import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.errors import ProtocolError
from runapi_mcp.wire.json_text import dump, is_crowded, without_surrogates
from runapi_mcp.wire.lax import Lax, lenient, read_documents


class Row(Lax):
    a: int | None = None
    t: str | None = None


def rows(text: str) -> list[Row]:
    return list(read_documents(Row, text))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('{"a":1,"unknown":[{}]}', 1),
        ('{"a":1}\n{"a":2}', 2),
        ('{"a":1}\n\n  {"a":2}\n', 2),
        ('[{"a":1},{"a":2}]', 2),
        ("[]", 0),
        ("", 0),
        ('{\n"a":\n1}', 1),
    ],
)
def test_documents_come_alone_one_a_line_or_in_an_array(text: str, count: int) -> None:
    assert [row.a for row in rows(text)] == [1, 2][:count]


def test_lone_surrogates_are_replaced_wherever_they_stand() -> None:
    assert rows('{"t":"\\ud83d","\\ud83d":[{"x":"\\ude00"}]}') == [Row(t="\ufffd")]
    assert without_surrogates("😀a\ud83d") == "😀a\ufffd"


@pytest.mark.parametrize("text", ["x", "5", "null", '{"a":"x"}', '{"a":1}\nx', '[{"a":1},5]', "[" * 10_000])
def test_what_is_no_document_of_the_model_is_a_protocol_error(text: str) -> None:
    with pytest.raises(ProtocolError, match="could not be read"):
        rows(text)


@given(st.text())
def test_any_text_is_documents_or_a_protocol_error(text: str) -> None:
    with suppress(ProtocolError):
        assert all(isinstance(row, Row) for row in rows(text))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists) | st.text())
def test_any_value_is_dumped_as_utf8_json(value: object) -> None:
    json.loads(dump(value).decode())


def test_a_number_json_does_not_have_cannot_be_dumped() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        dump({"temperature": float("nan")})
    assert dump({"t": "\ud83dé"}) == '{"t":"\ufffdé"}'.encode()


def test_an_odd_part_is_none_rather_than_an_error() -> None:
    assert lenient(Row, None) is None
    assert lenient(Row, {"a": "x"}) is None
    assert lenient(Row, {"a": 1}) == Row(a=1)


@pytest.mark.parametrize("more", ["1," * 60_000 + "1", '{"b":[]},' * 30_000 + "{}", '"x",' * 60_000 + '""'])
def test_a_document_of_more_values_than_any_answer_has_is_refused_before_they_are_made(more: str) -> None:
    with pytest.raises(ProtocolError, match="more than 20,000 values"):
        rows(f'{{"a":1,"unknown":[{more}]}}')


@pytest.mark.parametrize("text", ["a, b, " * 500_000, '[{\\"a\\": 1}, ' * 200_000])
def test_a_text_in_a_document_may_have_as_many_commas_as_it_likes(text: str) -> None:
    assert [row.a for row in rows(f'{{"a":1,"unknown":"{text}"}}')] == [1]


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    )
)
def test_what_has_few_values_is_never_crowded_whatever_its_texts_are(value: object) -> None:
    document = json.dumps(value, ensure_ascii=False)
    assert not is_crowded(document, 1_000)
    assert not is_crowded(document.encode("utf-8", "replace"), 1_000)
    crowded = json.dumps([value, ["x"] * 4_000], ensure_ascii=False)
    assert is_crowded(crowded, 1_000)
    assert is_crowded(crowded.encode("utf-8", "replace"), 1_000)
