"""Answers that are not a stream: every error body of docs/wire.md §3.2, and successes that are none."""

from runapi_mcp.sim import chat
from runapi_mcp.sim.play import Play
from runapi_mcp.sim.scenarios._registry import scenario
from runapi_mcp.sim.scene import JSON, STREAM, Scene, array, body, compact

_HTML = "text/html; charset=utf-8"


def _json(scene: Scene, status: int, value: object) -> Play:
    return body(scene.cue.whole("status", status), JSON, compact(value))


def _page(scene: Scene, status: int, title: str) -> Play:
    head = f"<html><head><title>{status} {title}</title></head>"
    text = f"{head}<body><h1>{title}</h1><hr>simulated edge</body></html>"
    return body(scene.cue.whole("status", status), _HTML, text)


def _google(status: int, message: str, word: str, *details: object) -> dict[str, object]:
    inside: dict[str, object] = {"code": status, "message": message, "status": word}
    if details:
        inside["details"] = list(details)
    return {"error": inside}


@scenario("error-a", 'Error 400 as {"error": "text"}.', "status")
def error_a(scene: Scene) -> Play:
    """Shape a."""
    return _json(scene, 400, {"error": "Simulated: the request was not understood."})


@scenario("error-b", 'Error 422 as {"error": …, "errors": {field: [messages]}}.', "status")
def error_b(scene: Scene) -> Play:
    """Shape b."""
    return _json(scene, 422, {"error": "Validation failed", "errors": {"model": ["is simulated"]}})


@scenario("error-c", 'Error 409 as {"error": {"code": "request_conflict", …}}.', "status")
def error_c(scene: Scene) -> Play:
    """Shape c: the code is a word."""
    return _json(scene, 409, {"error": {"code": "request_conflict", "message": "Simulated conflict."}})


@scenario("error-d", "Error 400 in OpenAI's shape.", "status")
def error_d(scene: Scene) -> Play:
    """Shape d."""
    return _json(scene, 400, chat.error(400, "Simulated: this request is invalid.", "invalid_value"))


@scenario("error-e", "Error 400 in Google's shape with details.", "status")
def error_e(scene: Scene) -> Play:
    """Shape e: the code is a number."""
    detail = {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": "contents", "description": "Simulated violation of contents."}],
    }
    return _json(scene, 400, _google(400, "Simulated: invalid argument.", "INVALID_ARGUMENT", detail))


@scenario("error-raw", "Error 400 of a relay, with the cause as JSON text in its metadata.", "status")
def error_raw(scene: Scene) -> Play:
    """As OpenRouter wraps what a provider says."""
    cause = _google(400, "Simulated: thinking cannot be switched off.", "INVALID_ARGUMENT")
    metadata = {"raw": compact(cause), "provider_name": "simulated"}
    error = {"message": "Provider returned error", "code": 400, "metadata": metadata}
    return _json(scene, 400, {"error": error})


@scenario("error-nested", "Error 400 with the cause as JSON text in the message, twice wrapped.", "status")
def error_nested(scene: Scene) -> Play:
    """As relays of relays do."""
    cause = compact(_google(400, "Simulated: thinking cannot be switched off.", "INVALID_ARGUMENT"))
    wrapped = compact({"error": {"message": f"upstream error: {cause}", "code": 400}})
    return _json(scene, 400, {"error": {"message": wrapped, "type": "upstream_error"}})


@scenario("error-f", "Error 400 in Google's shape, wrapped in a one-element array.", "status")
def error_f(scene: Scene) -> Play:
    """Shape f."""
    return _json(scene, 400, [_google(400, "Simulated: invalid argument, in a list.", "INVALID_ARGUMENT")])


@scenario(
    "error-g", "Error 400 as a top-level message (key=message, detail, errorMessage or msg).", "status", "key"
)
def error_g(scene: Scene) -> Play:
    """Shape g."""
    return _json(scene, 400, {scene.cue.text("key", "message"): "Simulated: something was wrong."})


@scenario(
    "older-schema",
    "Error 400 for words that Google's older Schema has not, as long as they are sent.",
    "status",
    "any",
)
def older_schema(scene: Scene) -> Play:
    """A relay that turns the answer's schema into a protocol buffer (docs/wire.md §5.4)."""
    sent = compact(scene.asked.schema or {})
    word = scene.cue.text("any", "") or next(
        (word for word in ("$ref", "prefixItems", "additionalProperties") if word in sent), ""
    )
    if word:
        said = f"Simulated: Unknown name \"{word}\" at 'response_schema': Cannot find field."
        return _json(scene, 400, [_google(400, said, "INVALID_ARGUMENT")])
    return scene.tell()


@scenario("error-h", "Error 502 as an HTML page of a proxy.", "status")
def error_h(scene: Scene) -> Play:
    """Shape h."""
    return _page(scene, 502, "Bad Gateway")


@scenario("error-i", 'Error 400 as {"code": 400, "msg": …}, relay style.', "status")
def error_i(scene: Scene) -> Play:
    """Shape i."""
    return _json(scene, 400, {"code": 400, "msg": "Simulated: The image URL<…> download failed."})


@scenario("error-j", "Error 500 with an empty body.", "status")
def error_j(scene: Scene) -> Play:
    """Shape j."""
    return body(scene.cue.whole("status", 500), None, "")


@scenario("html-500", "Error 500 as an HTML page.")
def html_500(scene: Scene) -> Play:
    """The application behind the edge failed."""
    return _page(scene, 500, "Internal Server Error")


@scenario("html-502", "Error 502 as an HTML page.")
def html_502(scene: Scene) -> Play:
    """The edge got nonsense."""
    return _page(scene, 502, "Bad Gateway")


@scenario("html-503", "Error 503 as an HTML page.")
def html_503(scene: Scene) -> Play:
    """The edge has nobody to ask."""
    return _page(scene, 503, "Service Unavailable")


@scenario("html-504", "Error 504 as an HTML page.")
def html_504(scene: Scene) -> Play:
    """The edge lost patience."""
    return _page(scene, 504, "Gateway Timeout")


@scenario("bad-key-400", "Error 400 that means a bad key: ErrorInfo.reason API_KEY_INVALID.")
def bad_key_400(scene: Scene) -> Play:
    """An authentication error in disguise (docs/wire.md §3.3)."""
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
    }
    error = _google(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", detail)
    return _json(scene, 400, [error] if scene.chat else error)


@scenario("bad-key-401", "Error 401: the key is refused.")
def bad_key_401(scene: Scene) -> Play:
    """As for a key that was revoked."""
    return _json(scene, 401, scene.error(401, "Simulated: the API key was revoked.", "invalid_api_key"))


@scenario("no-credit", "Error 402: no credit left.")
def no_credit(scene: Scene) -> Play:
    """The account is empty."""
    return _json(
        scene, 402, {"error": {"code": "insufficient_credits", "message": "Simulated: no credits left."}}
    )


@scenario("forbidden", "Error 403: the key may not use this model.")
def forbidden(scene: Scene) -> Play:
    """Key scoping (docs/wire.md §1.2)."""
    return _json(
        scene, 403, scene.error(403, "Simulated: this key may not use this model.", "model_not_allowed")
    )


@scenario("not-found", "Error 404: no such model or route.")
def not_found(scene: Scene) -> Play:
    """As on a wrong base URL."""
    return _json(scene, 404, scene.error(404, "Simulated: not found.", "not_found"))


@scenario("model-retired", "Error 410: the model was served once, and is no more.")
def model_retired(scene: Scene) -> Play:
    """As RunAPI's later documents have it."""
    return _json(
        scene, 410, {"error": {"code": "model_retired", "message": "Simulated: this model was retired."}}
    )


@scenario("no-capability", "Error 400: the model cannot do what the request asks for.")
def no_capability(scene: Scene) -> Play:
    """Hosted search on a model that has none, say."""
    word = "unsupported_model_capability"
    return _json(scene, 400, scene.error(400, "Simulated: this model does not support that.", word))


@scenario("too-large", "Error 413: the request body is too large.")
def too_large(scene: Scene) -> Play:
    """RunAPI's own limit is not published."""
    return _json(scene, 413, {"error": "Simulated: request entity too large."})


@scenario("ok-json-error", "200 with a JSON error as the whole body.")
def ok_json_error(scene: Scene) -> Play:
    """Success on the outside only."""
    return body(200, JSON, compact(_google(503, "Simulated: the model is overloaded.", "UNAVAILABLE")))


@scenario("ok-relay-error", '200 with {"code": 400, "msg": …} as the whole body.')
def ok_relay_error(scene: Scene) -> Play:
    """Relay style (docs/wire.md §3.2 i)."""
    return body(200, JSON, compact({"code": 400, "msg": "Simulated: the relay refused the request."}))


@scenario("ok-html", "200 with an HTML page.")
def ok_html(scene: Scene) -> Play:
    """A captive portal, say."""
    return body(200, _HTML, "<html><head><title>Simulated portal</title></head><body>Sign in.</body></html>")


@scenario("ok-empty", "200 with an event-stream type and no bytes (type= for another type).", "type")
def ok_empty(scene: Scene) -> Play:
    """Nothing at all."""
    return body(200, scene.cue.text("type", STREAM), "")


@scenario("ok-wrong-type", "The right stream under the type text/plain.")
def ok_wrong_type(scene: Scene) -> Play:
    """Only the header is wrong."""
    return scene.event_stream([*scene.frames(scene.chunks()), *scene.done()], content_type="text/plain")


@scenario("ok-json-completion", "A whole answer as JSON instead of a stream (native: a JSON array).")
def ok_json_completion(scene: Scene) -> Play:
    """The `stream` flag or `alt=sse` got lost on the way."""
    if scene.chat:
        return body(200, JSON, compact(chat.whole(scene.script(), scene.asked)))
    return scene.event_stream(array(scene.chunks()), content_type=JSON)


@scenario("no-content-204", "204 with an event-stream type.")
def no_content_204(scene: Scene) -> Play:
    """Success, says the status; nothing, says the body."""
    return body(204, STREAM, "")


@scenario("redirect", "302 to another address, which records who follows.")
def redirect(scene: Scene) -> Play:
    """A client that follows takes its key along."""
    return body(302, None, "", {"location": "/sim/elsewhere"})
