"""Structured answers that are not what was asked for."""

import json
from dataclasses import replace

from runapi_mcp.sim.compose import json_value, written
from runapi_mcp.sim.examples import violation
from runapi_mcp.sim.play import Play
from runapi_mcp.sim.scenarios._registry import scenario
from runapi_mcp.sim.scene import Scene
from runapi_mcp.sim.script import Text


def _text(scene: Scene) -> str:
    return scene.cue.params.get("text") or json.dumps(json_value(scene.asked), ensure_ascii=False)


def _say(scene: Scene, text: str) -> Play:
    return scene.tell(written(text, scene.asked))


def _wrong(scene: Scene) -> str:
    return json.dumps(violation(scene.asked.schema if scene.asked.schema is not None else {"type": "object"}))


@scenario("fenced-json", "The right JSON in a ```json fence with prose around it.")
def fenced_json(scene: Scene) -> Play:
    """As models answer without JSON mode (docs/wire.md §5.4)."""
    return _say(scene, f"Here is the simulated result:\n\n```json\n{_text(scene)}\n```\n\nAnything else?")


@scenario("wrong-json", "Valid JSON that violates the schema.")
def wrong_json(scene: Scene) -> Play:
    """Parses, but is not what was asked for."""
    return _say(scene, _wrong(scene))


@scenario("wrong-json-once", "JSON that violates the schema the first time, right the next.")
def wrong_json_once(scene: Scene) -> Play:
    """Every odd time a question is asked its answer is wrong."""
    return _say(scene, _wrong(scene)) if scene.time % 2 else scene.tell()


@scenario("broken-json", "Half of the JSON, yet finish stop.")
def broken_json(scene: Scene) -> Play:
    """Cut in the middle without admitting it."""
    text = _text(scene)
    return _say(scene, text[: max(len(text) // 2, 1)])


@scenario("prose-instead-of-json", "A sentence where JSON was asked for.")
def prose_instead_of_json(scene: Scene) -> Play:
    """No JSON anywhere."""
    return _say(scene, "The simulated model would rather talk about it than fill in a form.")


@scenario("duplicate-keys-json", "A JSON object with the same key twice.")
def duplicate_keys_json(scene: Scene) -> Play:
    """Parsers silently keep the last one."""
    value = json_value(scene.asked)
    members = value if isinstance(value, dict) and value else {"simulated": True}
    pairs = [*members.items(), next(iter(members.items()))]
    inside = ", ".join(f"{json.dumps(key)}: {json.dumps(each, ensure_ascii=False)}" for key, each in pairs)
    return _say(scene, "{" + inside + "}")


@scenario("nan-json", "NaN in place of a number, which JSON does not have.")
def nan_json(scene: Scene) -> Play:
    """Python's own parser accepts it."""
    value, replaced = _first_number_lost(json_value(scene.asked))
    if not replaced:
        value = {**value, "number": float("nan")} if isinstance(value, dict) else [float("nan")]
    return _say(scene, json.dumps(value, ensure_ascii=False))


@scenario("blank-json", "The right JSON, then blank lines up to the output limit.")
def blank_json(scene: Scene) -> Play:
    """A model that cannot stop, after all was said (docs/wire.md §5.4)."""
    script = written(_text(scene), scene.asked)
    blanks = (Text("\n" * 500),) * 40
    return scene.tell(replace(script, beats=(*script.beats, *blanks), finish="length"))


@scenario("looping-json", "JSON with a sentence in a string that is repeated up to the output limit.")
def looping_json(scene: Scene) -> Play:
    """A model that cannot stop, before all was said."""
    begun = Text('{"name": "Simulated. ')
    sentence = Text("The simulated model says this once more. " * 10)
    script = written("{}", scene.asked)
    return scene.tell(replace(script, beats=(begun, *(sentence,) * 40), finish="length"))


def _first_number_lost(value: object) -> tuple[object, bool]:
    """The value with its first number turned into NaN, and whether there was one."""
    match value:
        case bool():
            return value, False
        case int() | float():
            return float("nan"), True
        case dict():
            for key, member in value.items():
                changed, found = _first_number_lost(member)
                if found:
                    return {**value, key: changed}, True
        case list():
            for at, member in enumerate(value):
                changed, found = _first_number_lost(member)
                if found:
                    return [*value[:at], changed, *value[at + 1 :]], True
    return value, False
