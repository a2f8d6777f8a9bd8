import json

import pytest

from runapi_mcp.errors import ProtocolError
from runapi_mcp.upstream.model_list import Listing, LiveModel, read_page


def test_the_openai_shape_is_read_with_or_without_a_prefix() -> None:
    page = {"object": "list", "data": [{"id": "models/gemini-a", "display_name": "A"}, {"id": "gemini-b"}]}
    assert read_page(json.dumps(page)) == (
        Listing((LiveModel("gemini-a", "A"), LiveModel("gemini-b"))),
        None,
    )


def test_googles_shape_is_read_with_its_next_page() -> None:
    page = {
        "models": [{"name": "models/gemini-a", "displayName": "A", "thinking": True}],
        "nextPageToken": "p2",
    }
    assert read_page(json.dumps(page)) == (Listing((LiveModel("gemini-a", "A"),)), "p2")
    assert read_page('{"models":[],"nextPageToken":""}') == (Listing(()), None)


def test_other_vendors_models_stand_apart_and_every_model_once() -> None:
    page = '{"data":[{"id":"gpt-9"},{"id":"gemini-a"},{"id":"models/gemini-a"},{"id":"gpt-9"}]}'
    assert read_page(page)[0] == Listing((LiveModel("gemini-a"),), ("gpt-9",))


def test_an_alias_in_the_list_is_its_model() -> None:
    listing = Listing((LiveModel("gemini-flash-latest"),))
    assert listing.has("gemini-3-flash-preview")
    assert listing.has("gemini-flash-latest")
    assert not listing.has("gemini-2.5-flash")
    assert Listing((LiveModel("gemini-3-flash-preview"),)).has("gemini-flash-latest")


@pytest.mark.parametrize("odd", [None, 5, "gemini-b", {}, {"id": 5, "name": 5}, {"id": None}])
@pytest.mark.parametrize(("key", "name"), [("data", "id"), ("models", "name")])
def test_an_odd_entry_does_not_cost_the_others(key: str, name: str, odd: object) -> None:
    told = {key: [odd, {name: "gemini-a", "display_name": 5, "displayName": []}], "nextPageToken": 5}
    assert read_page(json.dumps(told)) == (Listing((LiveModel("gemini-a"),)), None)


def test_a_title_that_utf8_cannot_spell_does_not_cost_the_list() -> None:
    assert read_page('{"data":[{"id":"gemini-a","display_name":"\\ud83d"}]}') == (
        Listing((LiveModel("gemini-a", "\ufffd"),)),
        None,
    )


def test_names_are_one_line_and_bounded_and_so_is_their_number() -> None:
    page = {
        "data": [
            {"id": f"{vendor}-{n}-" + "x" * 500, "display_name": "a\nb"}
            for vendor in ("gemini", "gpt")
            for n in range(1_500)
        ]
    }
    listing = read_page(json.dumps(page))[0]
    found = listing.models
    assert len(found) == 1_000
    assert len(listing.others) == 200
    assert len(found[0].id) == 128
    assert found[0].title == "a b"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "<html>", '{"data":null}', '{"data":5}', '{"data":[{}]}', '{"models":[{"id":"x"}]}'],
)
def test_a_body_that_is_no_list_is_a_protocol_error(text: str) -> None:
    with pytest.raises(ProtocolError, match="list of models"):
        read_page(text)
