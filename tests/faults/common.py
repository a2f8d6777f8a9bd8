"""What people read most often, what it means and what to do: the top of ``docs/faults.md``.

Where a text holds something of the call, such as a path, `…` stands in its place.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Common:
    """One row: the text, what it means, and whose move it is."""

    reads: str
    means: str
    do: str


COMMON = {
    "no key": Common(
        "No RunAPI key is set.",
        "The server's environment holds no key. A host that was started from a menu does not see what your "
        "shell exports.",
        "`runapi-mcp install HOST` writes the host's config; restart the host. `runapi-mcp doctor` shows "
        "what each host passes on.",
    ),
    "reference": Common(
        "RUNAPI_TOKEN holds a reference that the host did not fill in, not a key.",
        "The host handed on `${…}` as it stands: the variable is not set where the host runs, or the host "
        "fills nothing in.",
        "Set the variable there, or keep the key in the keyring (`install HOST --keyring`).",
    ),
    "empty keyring": Common(
        "The keyring (…) holds no key for https://runapi.ai.",
        "`RUNAPI_MCP_KEYRING` is set and no key was kept for this RunAPI.",
        "`runapi-mcp key set`; the next call finds it.",
    ),
    "setting": Common(
        "RUNAPI_MCP_HOLD is '…'. It takes auto, or a number from 0 to 3600.",
        "A setting has a value that it does not take; it refuses every call, and over HTTP does not start. "
        "Other settings say it the same way.",
        "Correct it in the host's config.",
    ),
    "bad key": Common(
        "RunAPI refused the key (401): “…”",
        "The key is mistyped, revoked, or of another service.",
        "Get one at [runapi.ai](https://runapi.ai), set it, restart the host.",
    ),
    "no credit": Common(
        "RunAPI refused the call (402): “…”",
        "The account has no credit left.",
        "Top it up; the same call then works.",
    ),
    "not found": Common(
        "RunAPI refused the call (404): “…”",
        "RunAPI has no such model. If the path was not there, the other one that RunAPI has was tried too, "
        "unless `RUNAPI_CHAT_PATH` names one.",
        "`list_models` shows the models.",
    ),
    "too many": Common(
        "RunAPI refused the call (429): “…” It asked for … s; call again after that.",
        "Too many calls. The server has waited as long as the hold window allowed.",
        "Call again after that time, not before.",
    ),
    "wait": Common(
        "RunAPI asked calls of this key and model to wait, … s more; nothing was sent. "
        "Call again after that.",
        "An earlier call was told to wait, and that time is not over.",
        "The same; another model may be free.",
    ),
    "unreachable": Common(
        "… could not be reached",
        "There is no way from here to RunAPI. Nothing was sent.",
        "Check the network, `HTTPS_PROXY` and `RUNAPI_BASE_URL`; `runapi-mcp doctor` tries them.",
    ),
    "web page": Common(
        "A web page came instead of a stream: “…”",
        "`RUNAPI_BASE_URL` leads to a site and not to the API, or a proxy or a log-in page is in between.",
        "Open that address in a browser, or leave `RUNAPI_BASE_URL` unset.",
    ),
    "outside": Common(
        "… is outside the folders this server may read (…).",
        "Files are read only under the folders in the brackets.",
        "Move the file there, or allow its folder: `RUNAPI_MCP_ALLOW_DIR=/home/you/papers`.",
    ),
    "no file": Common(
        "… does not exist.",
        "A relative path counts from the folder that the server was started in, which the host chooses.",
        "Give the whole path.",
    ),
    "handle": Common(
        "handle: no generation '…' is here.",
        "It ended too long ago (a day over stdio, an hour over HTTP), belongs to somebody else, or nothing "
        "of it outlived its server (`RUNAPI_MCP_STORE=memory`, or HTTP without `--store`).",
        "Ask the question again.",
    ),
    "argument": Common(
        "…: unknown argument; did you mean …?",
        "The model called the tool with an argument that it does not have. Nothing was sent.",
        "Nothing: the line tells the model what to write.",
    ),
    "ability": Common(
        "model: … does not have Google Search. Models that have it: ….",
        "The model that was asked for cannot do this. Nothing was sent.",
        "Name one of those, or none.",
    ),
    "running": Common(
        '[Still running after … s. Call get_result with handle "…" to wait for the rest; do not ask again.]',
        "No error: the host would have given up. The generation goes on.",
        "Nothing: the model calls `get_result`. If it does not, tell it to.",
    ),
    "partial": Common(
        '[Partial: … Call get_result with handle "…" and resume true to continue.]',
        "The answer ends here, for the reason given; what came is above.",
        "Use it as it is, or have the model continue it.",
    ),
    "no sources": Common(
        "[No sources came back: nothing shows that this answer rests on a search. (…)]",
        "The model answered without searching, or RunAPI sent no sources.",
        "Do not rely on it; ask again, more narrowly, or with another `model`.",
    ),
    "schema": Common(
        "The model's answer does not conform to the schema.",
        "It was asked once more and still does not. What is wrong is listed below it.",
        "Simplify the schema, say more in `instructions`, or name a stronger `model`.",
    ),
}  # fmt: skip
"""By what the tests call them."""
