"""A research: its plan, its searches, the look at what they found, its report."""

import json
import re
from dataclasses import replace

from runapi_mcp.sim.compose import written
from runapi_mcp.sim.cues import Cue
from runapi_mcp.sim.play import Play
from runapi_mcp.sim.scenarios._registry import TABLE, scenario
from runapi_mcp.sim.scene import Scene

QUESTIONS = (
    "Who won the Lake Vättern regatta?",
    "How long does Tern-4 take to circle us?",
    "How many lighthouses has Port Merrow?",
    "How much did the Hollow Glacier lose?",
)
FURTHER = "When does the festival of Naxos begin?"
_DISAGREEMENT = {
    "about": "how long Tern-4 takes",
    "says": [{"source": 1, "claim": "97 minutes"}, {"source": 2, "claim": "two hours"}],
}
_CITED = re.compile(r"[^\n.。\]]{3,200}[.。]?\[\d+\]")


@scenario(
    "research",
    "Search: a plan, searches (third= how one ends), a disagreement (look=), a report (report=).",
    "third",
    "look",
    "report",
)
def research(scene: Scene) -> Play:
    """Each part as its request asks for it."""
    asked = scene.asked
    properties = (asked.schema or {}).get("properties")
    names = properties if isinstance(properties, dict) else {}
    if "questions" in names:
        return _say(scene, json.dumps({"questions": QUESTIONS}, ensure_ascii=False))
    if "missing" in names:
        told = json.dumps({"missing": [FURTHER], "disagreements": [_DISAGREEMENT]}, ensure_ascii=False)
        return _as(scene, scene.cue.text("look", ""), told)
    if asked.search:
        third = QUESTIONS[2] in asked.last_user_text
        return _as(scene, scene.cue.text("third", "") if third else "", "")
    return _as(scene, scene.cue.text("report", ""), _report(asked.last_user_text))


def _report(prompt: str) -> str:
    findings = prompt.rpartition("Sources:")[0].partition("Findings:")[2]
    cited = list(dict.fromkeys(found.group().strip() for found in _CITED.finditer(findings)))
    first = "This simulated report says what the simulated searches found."
    return "\n\n".join([first, " ".join(cited), "All of it was made up by hand for the simulator."])


def _as(scene: Scene, name: str, text: str) -> Play:
    """Play a scenario with a text; without a name, say it well."""
    if name:
        return TABLE[name].play(replace(scene, cue=Cue(name, {"text": text} if text else {})))
    return _say(scene, text) if text else scene.tell()


def _say(scene: Scene, text: str) -> Play:
    """Say a text, or what is left of it behind what was said already."""
    partial = scene.asked.partial
    return scene.tell(written(text.removeprefix(partial) if partial else text, scene.asked))
