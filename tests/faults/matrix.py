"""The fault matrix: what RunAPI or the network does, and what the caller of a tool sees.

One table for the tests and for ``docs/faults.md`` (``page.py``). A row names a scenario of the simulator.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from runapi_mcp.sim import SCENARIOS
from runapi_mcp.wire.types import DialectName

Kept = Literal["whole", "part", "none"]

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "total": {"type": "number"}},
    "required": ["name", "total"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        cue: The scenario, with its parameters.
        status: How the generation ends, as the receipt says.
        sees: What the text of the result holds beside the answer; empty if nothing.
        code: The error's code in `_meta`; empty if the result is no error, or none of RunAPI's.
        requests: Requests that the simulator sees.
        tool: The tool that is called.
        error: Whether the result is an error.
        kept: How much of the answer is given.
        bound: Seconds in which the call must end, on a busy machine.
        native: What the text holds on the native dialect, where it differs.
        alone: Whether it needs a server of its own, because it makes later calls wait.
        hasty: Whether its server has small limits of time, which a busy machine would run into elsewhere.
        again: Whether the second request meets the same; otherwise it is answered well.
    """

    cue: str
    status: Literal["complete", "partial", "failed"] = "complete"
    sees: str = ""
    code: str = ""
    requests: int = 1
    tool: str = "ask_gemini"
    error: bool = False
    kept: Kept = "whole"
    bound: float = 30.0
    native: str = ""
    alone: bool = False
    hasty: bool = False
    again: bool = False

    @property
    def scenario(self) -> str:
        """The scenario's name."""
        return self.cue.partition(" ")[0]

    @property
    def name(self) -> str:
        """What tests call it."""
        return f"{self.tool}-{self.cue}{' twice' * self.again}"

    @property
    def dialects(self) -> Sequence[DialectName]:
        """The dialects on which it can happen."""
        return SCENARIOS[self.scenario].dialects

    @property
    def first_only(self) -> bool:
        """Whether only the first of several requests meets it, which a simulator on its own does not do."""
        kept_up = self.again or "once" in self.cue or self.scenario == "older-schema"
        return self.requests > 1 and self.tool == "extract_json" and not kept_up

    def words(self) -> int:
        """How long the whole answer is."""
        return int(self.cue.partition("words=")[2].partition(" ")[0] or 60)

    def arguments(self) -> dict[str, Any]:
        """What the tool is called with."""
        asked = "Who won the regatta?" if self.tool == "search_web" else "Q"
        question = asked if self.again else f"{asked} [[sim:{self.cue}]]"
        match self.tool:
            case "search_web":
                return {"query": question} | ({"depth": "research"} if self.scenario == "research" else {})
            case "extract_json":
                return {"schema": SCHEMA, "text": question, "evidence": False}
            case _:
                return {"prompt": question}


def _whole(*cues: str) -> list[Row]:
    return [Row(cue) for cue in cues]


def _partial(cue: str, sees: str, **more: Any) -> Row:
    return Row(cue, "partial", sees, kept="part", **more)


def _failed(cue: str, code: str, sees: str, **more: Any) -> Row:
    return Row(cue, "failed", sees, code, error=True, kept="none", **more)


def _refused(cue: str, code: str, status: int, said: str, **more: Any) -> Row:
    what = "the key" if code == "key_refused" else "the call"
    verb = f"failed ({status})" if code == "unavailable" else f"refused {what} ({status})"
    return _failed(cue, code, f"RunAPI {verb}: {said}", **more)


def _retired(tool: str) -> Row:
    said = "RunAPI no longer serves the model (410): “Simulated: this model was retired.” The model was"
    return _failed("model-retired", "model_retired", said, tool=tool)


def _json(cue: str, sees: str = "", **more: Any) -> Row:
    return Row(cue, sees=sees, tool="extract_json", error=bool(sees), **more)


def _search(cue: str, sees: str = "", **more: Any) -> Row:
    return Row(cue, more.pop("status", "complete"), sees, tool="search_web", **more)


_BAD = "Change the arguments it names"

REFUSED = [
    _refused("error-a", "request_refused", 400, "“Simulated: the request was not understood.”"),
    _refused("error-b", "request_refused", 422, "“Validation failed; model: is simulated”"),
    _refused("error-c", "request_refused", 409, "“Simulated conflict.”"),
    _refused("error-d", "request_refused", 400, "“Simulated: this request is invalid.”"),
    _refused("error-e", "request_refused", 400, "“Simulated: invalid argument."),
    _refused(
        "error-raw",
        "request_refused",
        400,
        "“Provider returned error: Simulated: thinking cannot be switched off.”",
    ),
    _refused("error-nested", "request_refused", 400, "“Simulated: thinking cannot be switched off.”"),
    _refused("error-f", "request_refused", 400, "“Simulated: invalid argument, in a list.”"),
    _refused("error-g", "request_refused", 400, "“Simulated: something was wrong.”"),
    _refused("error-h", "unavailable", 502, "“502 Bad Gateway”"),
    _refused("error-i", "request_refused", 400, "“Simulated: The image URL<…> download failed.”"),
    _refused("error-j", "unavailable", 500, "it failed inside"),
    _refused("html-500", "unavailable", 500, "“500 Internal Server Error”"),
    _refused("html-502", "unavailable", 502, "“502 Bad Gateway”"),
    _refused("html-503", "unavailable", 503, "“503 Service Unavailable”", alone=True),
    _refused("html-504", "unavailable", 504, "“504 Gateway Timeout”"),
    _refused("bad-key-400", "key_refused", 400, "“API key not valid."),
    _refused("bad-key-401", "key_refused", 401, "“Simulated: the API key was revoked.”"),
    _refused("no-credit", "no_credit", 402, "“Simulated: no credits left.”"),
    _refused("forbidden", "not_allowed", 403, "“Simulated: this key may not use this model.”"),
    _refused("not-found", "not_found", 404, "“Simulated: not found.”"),
    _retired("ask_gemini"),
    _retired("search_web"),
    _retired("extract_json"),
    _refused("no-capability", "model_refused", 400, "“Simulated: this model does not support that.”"),
    _refused(
        "no-capability",
        "model_refused",
        400,
        "“Simulated: this model does not support that.”",
        tool="search_web",
    ),
    _refused("too-large", "request_refused", 413, "“Simulated: request entity too large.”"),
    _refused("redirect", "request_refused", 302, "no reason was given. It was redirected"),
    _refused("error-d", "request_refused", 400, "“Simulated: this request is invalid.”", tool="search_web"),
    _refused("error-d", "request_refused", 400, "“Simulated: this request is invalid.”", tool="extract_json"),
]

LIMITED = [
    _refused(
        "rate-limit-seconds seconds=0.1", "rate_limited", 429, "“Simulated: too many", requests=3, alone=True
    ),
    _refused(
        "rate-limit-retryinfo seconds=0.1",
        "rate_limited",
        429,
        "“Simulated: too many",
        requests=3,
        alone=True,
    ),
    _refused(
        "rate-limit-words seconds=0.1", "rate_limited", 429, "“Simulated: too many", requests=3, alone=True
    ),
    _refused(
        "rate-limit-ms seconds=0.1", "rate_limited", 429, "“Simulated: too many", requests=3, alone=True
    ),
    _refused(
        "rate-limit-wrapped seconds=0.1",
        "rate_limited",
        429,
        "“Provider returned error: Simulated: too many",
        requests=3,
        alone=True,
    ),
    _refused("no-quota", "rate_limited", 429, "“Simulated: quota exceeded", alone=True),
    _refused("rate-limit-bare", "rate_limited", 429, "“Simulated: too many", alone=True),
    _refused("rate-limit-date seconds=90", "rate_limited", 429, "“Simulated: too many", alone=True),
    _refused("rate-limit-seconds seconds=90", "rate_limited", 429, "“Simulated: too many", alone=True),
    _refused(
        "rate-limit-forever seconds=0.1", "rate_limited", 429, "“Simulated: too many", requests=3, alone=True
    ),
    _refused("per-day-quota", "rate_limited", 429, "“Simulated: too many", alone=True),
    _refused("unavailable seconds=0.1", "unavailable", 503, "“Simulated: No active", requests=3, alone=True),
    Row("rate-limit-once seconds=0.1", requests=2, alone=True),
    Row("unavailable-once seconds=0.1", requests=2, alone=True),
    _search("rate-limit-once seconds=0.1", requests=2, alone=True),
    _json("rate-limit-once seconds=0.1", requests=2, alone=True),
]

NO_STREAM = [
    _refused("ok-json-error", "unavailable", 503, "“Simulated: the model is overloaded.”"),
    _refused("ok-relay-error", "request_refused", 400, "“Simulated: the relay refused the request.”"),
    _refused("raw-json", "unavailable", 503, "“Simulated: the model is overloaded.”"),
    _failed("ok-html", "protocol", "A web page came instead of a stream: “Simulated portal”"),
    _failed("ok-empty", "cut", "RunAPI's answer was empty."),
    _failed("no-content-204", "protocol", "RunAPI answered 204, without a stream."),
    _failed("double-gzip", "protocol", "The answer is compressed (gzip, gzip), which was not asked for."),
    _failed("false-gzip", "protocol", "compressed in a way it does not say"),
    _failed("cut-before-headers", "cut", "The connection broke before RunAPI answered"),
    *_whole("ok-wrong-type", "ok-json-completion"),
]

SILENT = [
    _failed("stall-headers", "stalled", "RunAPI did not begin to answer for 1 s.", hasty=True),
    _failed("stall-first", "stalled", "RunAPI sent nothing for 1 s.", hasty=True),
    _partial("stall-middle", "RunAPI sent nothing for 1 s.", hasty=True),
    _partial("pings-forever", "RunAPI sent keep-alives but no content for 1 s.", hasty=True),
    _partial("slow seconds=8 words=240", "ran into this server's deadline", hasty=True),
    _partial("stall-middle", "RunAPI sent nothing for 1 s.", tool="search_web", hasty=True),
    _partial("stall-middle", "RunAPI sent nothing for 1 s.", tool="extract_json", hasty=True),
    *_whole(
        "silent-thinking seconds=0.2", "thinking seconds=0.2", "held-open", "slow seconds=0.2 words=60",
    ),
    Row("slow-drip every=0.00001 words=12"),
]  # fmt: skip

BROKEN = [
    _partial("cut-chunked", "The connection broke in the middle of the answer."),
    _partial("cut-clean", "the stream ended without a finish"),
    _partial("cut-mid-event", "the stream ended without a finish"),
    _partial("cut-rst", "The connection broke in the middle of the answer."),
    _partial("cut-gzip", "the stream ended without a finish"),
    _partial("mid-error", "“Simulated: the model is overloaded.”"),
    _partial("mid-error-event", "“Simulated: the model is overloaded.”"),
    _partial("mid-error-finish", "“Simulated: the model is overloaded.”"),
    _partial("mid-error-string", "“Simulated: the model is overloaded.”"),
    _partial("mid-raw-json", "“Simulated: the model is overloaded.”"),
    _partial("garbage", "It is not caused by the arguments."),
    _partial("cut-clean", "the stream ended without a finish", tool="search_web"),
    _partial("cut-clean", "the stream ended without a finish", tool="extract_json"),
    _partial("mid-error", "“Simulated: the model is overloaded.”", tool="search_web"),
    _partial("mid-error", "“Simulated: the model is overloaded.”", tool="extract_json"),
]

TOO_MUCH = [
    _failed("huge-event mb=3", "protocol", "RunAPI sent more than 1 MiB in one event."),
    _partial("endless size=100000", "RunAPI sent more than 4 MiB in its stream."),
]

ENDED = [
    _partial("length", "the output limit was reached"),
    _partial("blocked-middle", "a safety rule stopped the answer"),
    _partial("blocked-middle reason=RECITATION", "a safety rule stopped the answer (“RECITATION”)"),
    _partial("blocked-middle reason=content_filter:SPII", "stopped the answer (“content_filter:SPII”)"),
    _partial("blocked-middle reason=OTHER", "the model stopped before the end of its answer (“OTHER”)"),
    _partial("blocked-middle reason=malformed_function_call", "stopped before the end of its answer"),
    _failed("prompt-feedback", "blocked", "RunAPI blocked the prompt (PROHIBITED_CONTENT)."),
    Row("finish", sees="RunAPI ended the answer with a word that is not known here (“SIMULATED_REASON”)."),
    Row("late-error", sees="The answer came to its end; after that RunAPI reported an error"),
    _partial("late-error part=half", "Partial: RunAPI reported an error"),
    _failed("length-thinking", "empty_answer", "Thinking used up the whole output limit"),
    _failed("empty-stop", "empty_answer", "without writing an answer"),
    _failed(
        "blocked-prompt", "blocked", "The answer was blocked before it had any text",
        native="RunAPI blocked the prompt",
    ),
    _failed("tool-call", "empty_answer", "asked for a function to be run, which was not offered"),
    _failed(
        "tool-call", "empty_answer", "asked for a function to be run, which was not", tool="search_web"
    ),
    _failed("calls-same-index", "empty_answer", "asked for a function to be run, which was not offered"),
    _partial("length", "the output limit was reached", tool="search_web"),
    _partial("length", "the output limit was reached", tool="extract_json"),
    _failed("empty-stop", "empty_answer", "without writing an answer", tool="extract_json"),
]  # fmt: skip

ODD = [
    *_whole(
    "default", "thought-tags", "bare-thought-tags", "reasoning-content", "reasoning", "no-thoughts",
    "double-finish", "early-stop", "unknown-fields", "null-fields", "usage-every-chunk", "usage-last-chunk",
    "usage-separate", "usage-early-partial", "no-done", "no-final-blank-line", "data-after-done", "bom", "lf",
    "crlf", "lone-cr", "split-bytes words=15", "split-utf8", "one-write", "two-objects", "id-and-comments",
    "no-space", "upper-content-type", "latin1-charset", "gzip", "think-tags", "think-tags tag=Thinking",
    "reasoning-details", "whole-message", "last-chunk-twice", "usage-zero-last",
    ),
    Row("no-usage", sees="RunAPI sent no token counts."),
    Row("line-separators", sees="a\u2028b\u2029cde"),
    Row("lone-surrogate", sees=" \ufffd and \ufffd."),
]  # fmt: skip

_UNGROUNDED = "No sources came back: nothing shows that this answer rests on a search."

SEARCHED = [
    _search("annotations", "Sources:\n[1]"),
    _search("grounding-on-chat", "Sources:\n[1]"),
    _search("search-reasoning-content", "Sources:\n[1]"),
    _search("offset-off-by-one", "Sources:\n[1]"),
    _search("grounding-at-root", "Sources:\n[1]"),
    _search("grounding-in-lots", "Sources:\n[1]"),
    _search("links-beside", "(listed with the answer, tied to no sentence)"),
    _search("odd-sources", "something that looks like sources and could not be read"),
    _search("links-in-text", "a link in the text, not a citation"),
    _search("no-sources", _UNGROUNDED),
    _search("grounding-no-chunks", _UNGROUNDED),
]

EXTRACTED = [
    _json("default"),
    _json("older-schema", requests=2, alone=True),
    _json("fenced-json"),
    _json("blank-json"),
    _json("looping-json", requests=2),
    _json("wrong-json", requests=2),
    _json("wrong-json-once", requests=2),
    _json("prose-instead-of-json", requests=2),
    _json("duplicate-keys-json", requests=2),
    _json("nan-json", requests=2),
    _json("wrong-json", '- (root): the member "name" is missing', requests=2, again=True),
    _json("looping-json", "it repeated “", requests=2, again=True, status="partial"),
    _json("broken-json", "- (root): not JSON: Unterminated string", requests=2, again=True),
    _json("prose-instead-of-json", "- (root): not JSON", requests=2, again=True),
    _json("duplicate-keys-json", '- (root): not JSON: the key "name" stands twice', requests=2, again=True),
    _json("nan-json", "- (root): not JSON: NaN is not JSON", requests=2, again=True),
]

_OPEN = "No answer to “How many lighthouses has Port Merrow?”: "
RESEARCHED = [
    _search("research", "Sources disagree on: how long Tern-4 takes.", requests=8),
    _search("research third=cut-clean", _OPEN, requests=8),
    _search("research third=cut-rst", _OPEN, requests=8),
    _search("research third=empty-stop", _OPEN, requests=8),
    _search("research third=blocked-prompt", _OPEN, requests=8),
    _search("research third=error-d", _OPEN, requests=8),
    _search("research look=cut-clean", "have no source", requests=7),
    _search("research report=cut-clean", "resume true", status="partial", requests=8),
    _search("research report=blocked-prompt", "resume true", status="partial", requests=8),
]

GROUPS: dict[str, list[Row]] = {
    "RunAPI refuses": REFUSED,
    "RunAPI asks to wait": LIMITED,
    "What comes is no stream": NO_STREAM,
    "Silence": SILENT,
    "The stream breaks": BROKEN,
    "Too much": TOO_MUCH,
    "The model ends in another way": ENDED,
    "Odd streams that are read like any other": ODD,
    "Searches": SEARCHED,
    "A research of several searches": RESEARCHED,
    "Extractions": EXTRACTED,
}
ROWS = [row for group in GROUPS.values() for row in group]
