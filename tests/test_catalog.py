import pytest

from runapi_mcp import models as catalog
from runapi_mcp.errors import InputError
from runapi_mcp.models import (
    ALIASES,
    DEFAULT_MODEL,
    DEFAULT_SEARCH_MODEL,
    MODELS,
    Ability,
    DialectName,
    check_effort,
    choose_dialect,
    find,
    models_with,
    pick,
)
from runapi_mcp.wire.types import Effort

SEED_SEARCH = {"gemini-2.5-flash", "gemini-2.5-pro", "gemini-3.1-pro-preview", "gemini-3-pro-preview"}


def test_the_rows_of_the_seed_are_there_in_its_order() -> None:
    assert [model.id for model in MODELS if model.evidence == "seed"] == [
        "gemini-2.5-flash",
        "gemini-2.5-pro",
        "gemini-3.1-pro-preview",
        "gemini-3-pro-preview",
        "gemini-3-flash-preview",
    ]


def test_newer_rows_say_that_they_are() -> None:
    assert all("later documents" in model.note for model in MODELS if model.evidence == "newer")


def test_the_seeds_search_models_search_on_chat_and_its_flash_does_not() -> None:
    assert {m.id for m in MODELS if m.evidence == "seed" and m.search == {"chat"}} == SEED_SEARCH
    flash = find("gemini-3-flash-preview")
    assert flash is not None
    assert not flash.search


def test_a_row_says_whether_a_temperature_changes_anything_and_its_note_agrees() -> None:
    deaf = {model.id for model in MODELS if not model.temperature}
    assert deaf == {model.id for model in MODELS if "temperature" in model.note}
    assert deaf == {"gemini-3.6-flash", "gemini-3.7-flash"}


def test_every_ability_is_on_a_dialect_the_model_has() -> None:
    for model in MODELS:
        for ability in ("search", "structured", "functions", "files", "images"):
            assert getattr(model, ability) <= model.dialects, (model.id, ability)


def test_the_defaults_and_aliases_lead_to_rows_that_can_do_what_they_are_for() -> None:
    assert DEFAULT_MODEL in models_with("structured")
    assert DEFAULT_SEARCH_MODEL in models_with("search")
    assert all(find(alias) for alias in ALIASES)
    assert find("gemini-flash-latest") is find("gemini-3-flash-preview")
    assert find("gemini-99") is None


@pytest.mark.parametrize(
    ("model", "needs", "prefer", "dialect"),
    [
        ("gemini-3-flash-preview", [], "chat", "chat"),
        ("gemini-3-flash-preview", [], "native", "native"),
        ("gemini-flash-latest", [], "native", "native"),
        ("gemini-3-flash-preview", ["files"], "chat", "native"),
        ("gemini-2.5-pro", ["search"], "native", "chat"),
        ("gemini-3.7-flash", ["search", "structured"], "chat", "native"),
        ("gemini-99", ["search"], "native", "chat"),
    ],
)
def test_a_dialect_is_one_that_has_every_ability(
    model: str, needs: list[Ability], prefer: DialectName, dialect: DialectName
) -> None:
    assert choose_dialect(model, needs, prefer) == dialect


@pytest.mark.parametrize(
    ("model", "ability", "able"),
    [
        ("gemini-3-flash-preview", "search", "gemini-2.5-flash"),
        ("gemini-flash-latest", "search", "gemini-2.5-flash"),
        ("gemini-2.5-pro", "files", "gemini-3-flash-preview"),
        ("gemini-2.5-pro", "functions", "gemini-3-flash-preview"),
    ],
)
def test_a_model_without_an_ability_is_refused_and_those_with_it_named(
    model: str, ability: Ability, able: str
) -> None:
    with pytest.raises(InputError, match=f"^model: {model} .*Models that have it: .*{able}"):
        choose_dialect(model, [ability], "chat")


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-flash-preview", "gemini-99"])
@pytest.mark.parametrize("effort", ["low", "medium", "high"])
def test_an_effort_is_taken_as_given_where_nothing_speaks_against_it(model: str, effort: Effort) -> None:
    check_effort(model, effort)


def test_an_effort_a_model_does_not_take_is_refused_and_those_it_takes_named() -> None:
    with pytest.raises(InputError, match=r"does not take 'medium'. It takes low or high\."):
        check_effort("gemini-3.7-flash", "medium")


def test_a_model_without_efforts_names_those_that_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    plain = replace(MODELS[0], id="gemini-plain", efforts=())
    monkeypatch.setitem(catalog._ROWS, plain.id, plain)
    with pytest.raises(InputError, match=r"Models that do: gemini-2\.5-flash, "):
        check_effort("gemini-plain", "low")


@pytest.mark.parametrize(
    ("wish", "needs", "chosen"),
    [
        ("strongest", [], "gemini-3.1-pro-preview"),
        ("strongest", ["files"], "gemini-3.7-flash"),
        ("cheapest", [], "gemini-3-flash-preview"),
        ("cheapest", ["search"], "gemini-3.7-flash"),
        ("strongest", ["search"], "gemini-3.1-pro-preview"),
        ("strongest", ["search", "files", "structured", "functions"], "gemini-3.7-flash"),
        ("gemini-2.5-pro", [], None),
    ],
)
def test_a_wish_picks_of_the_models_that_can_do_what_is_needed(
    wish: str, needs: list[Ability], chosen: str | None
) -> None:
    assert pick(wish, needs) == chosen
