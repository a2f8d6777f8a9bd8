import pytest

from runapi_mcp import models as catalog
from runapi_mcp.errors import InputError
from runapi_mcp.models import (
    ALIASES,
    ANSWERING,
    AUTO,
    DEFAULT_MODEL,
    DEFAULT_SEARCH_MODEL,
    MODELS,
    SEARCHING,
    WISHES,
    Ability,
    DialectName,
    candidates,
    check_effort,
    choose_dialect,
    find,
    is_version_of,
    likely_meant,
    models_with,
    others_than,
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
        ("flash", [], "gemini-3-flash-preview"),
        ("pro", [], "gemini-3.1-pro-preview"),
        ("pro", ["files"], "gemini-3.1-pro-preview"),
        ("latest", [], "gemini-3.7-flash"),
        (AUTO, [], "gemini-3-flash-preview"),
        ("gemini-2.5-pro", [], "gemini-2.5-pro"),
        ("gemini-99", ["search"], "gemini-99"),
    ],
)
def test_a_name_stands_for_models_that_can_do_what_is_needed_best_first(
    wish: str, needs: list[Ability], chosen: str
) -> None:
    assert candidates(wish, ANSWERING, needs, None)[0] == chosen


def test_an_id_stands_for_itself_alone_and_a_wish_for_several() -> None:
    assert candidates("gemini-2.5-flash", SEARCHING, ["search"], None) == ("gemini-2.5-flash",)
    assert candidates(AUTO, SEARCHING, ["search"], None) == SEARCHING
    assert all(len(candidates(wish, ANSWERING, [], None)) > 1 for wish in WISHES)


def test_a_default_takes_the_effort_that_is_asked_for() -> None:
    assert "gemini-3.7-flash" in candidates(AUTO, ANSWERING, [], "low")
    assert "gemini-3.7-flash" not in candidates(AUTO, ANSWERING, [], "medium")


@pytest.mark.parametrize("defaults", [ANSWERING, SEARCHING])
def test_defaults_begin_with_the_seed_and_end_with_the_dear(defaults: tuple[str, ...]) -> None:
    first = find(defaults[0])
    assert first is not None
    assert first.evidence == "seed"
    dear = [catalog.is_dear(model) for model in defaults]
    assert dear == sorted(dear)
    assert not set(defaults) & {"gemini-3-pro-preview"}


def test_every_row_says_in_five_words_what_it_is_good_for_and_one_that_ends_has_a_successor() -> None:
    for model in MODELS:
        assert 2 <= len(model.good_for.split()) <= 5, model.id
        assert not model.ends or model.successor, model.id


@pytest.mark.parametrize(
    ("served", "asked"),
    [
        ("gemini-2.5-flash", "gemini-2.5-flash"),
        ("models/gemini-2.5-flash-001", "gemini-2.5-flash"),
        ("publishers/google/models/gemini-2.5-flash@001", "gemini-2.5-flash"),
        ("google/Gemini-2.5-Flash:free", "gemini-2.5-flash"),
        ("gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash"),
        ("gemini-2.5-flash-20250617", "gemini-2.5-flash"),
        ("gemini-3-flash", "gemini-3-flash-preview"),
        ("gemini-3-flash-preview", "gemini-flash-latest"),
        ("gemini-2.5-pro", "gemini-2.5-pro-001"),
    ],
)
def test_a_version_of_a_model_is_the_model(served: str, asked: str) -> None:
    assert is_version_of(served, asked)


@pytest.mark.parametrize(
    ("served", "asked"),
    [
        ("gemini-3.5-flash-lite", "gemini-2.5-flash"),
        ("gemini-2.5-flash-lite", "gemini-2.5-flash"),
        ("gemini-2.5-flash", "gemini-2.5-flash-lite"),
        ("gemini-2.5-flash-image", "gemini-2.5-flash"),
        ("gemini-2.5-pro-002", "gemini-2.5-pro-001"),
        ("gemini-2.5-flash", "gemini-2.5-pro"),
        ("gemini-3.5-flash", "gemini-flash-latest"),
        ("gpt-5.5", "gemini-2.5-flash"),
        ("gemini-2", "gemini-2.5-flash"),
    ],
)
def test_another_model_is_no_version(served: str, asked: str) -> None:
    assert not is_version_of(served, asked)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gemini-2.5-flsh", "gemini-2.5-flash"),
        ("Gemini 2.5 Flash", "gemini-2.5-flash"),
        ("gemini_3_flash_preview", "gemini-3-flash-preview"),
        ("gemini-3-flash", "gemini-3-flash-preview"),
        ("models/gemini-2.5-pr", "gemini-2.5-pro"),
        ("gpt-5", "gpt-5.5"),
        ("x" * 100_000, ""),
        ("llama", ""),
    ],
)
def test_a_mistyped_id_is_close_to_a_listed_one(typed: str, meant: str) -> None:
    listed = [*(model.id for model in MODELS), "gpt-5.5"]
    assert likely_meant(typed, listed) == meant


def test_others_than_a_model_begin_with_its_successor_and_stay_in_its_class() -> None:
    assert others_than("gemini-3-flash-preview", [], None)[0] == "gemini-3.6-flash"
    assert others_than("gemini-2.5-flash", ["search"], None)[0] == "gemini-3.7-flash"
    assert others_than("gemini-3-pro-preview", [], None)[0] == "gemini-3.1-pro-preview"
