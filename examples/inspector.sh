#!/bin/sh
# The tools from a shell script, through the MCP Inspector's command line (Node 22 or newer).
#
# Run it with RUNAPI_TOKEN set, or against `runapi-mcp sim` as that command prints.
set -eu
: "${RUNAPI_TOKEN:?Set it to your key, or start runapi-mcp sim and set what it prints.}"
INSPECTOR=${INSPECTOR:-npx -y @modelcontextprotocol/inspector@2.12.0}
SERVER=${SERVER:-runapi-mcp}
BASE=${RUNAPI_BASE_URL:-https://runapi.ai}

call() { # TOOL JSON WANTED: call a tool, show its result, and see that WANTED is in it
    printf '== %s %s\n' "$1" "$2"
    # shellcheck disable=SC2086  # both are commands with arguments
    result=$($INSPECTOR --cli -q -e "RUNAPI_TOKEN=$RUNAPI_TOKEN" -e "RUNAPI_BASE_URL=$BASE" $SERVER \
        --method tools/call --tool-name "$1" --tool-args-json "$2")
    printf '%s\n' "$result"
    printf '%s\n' "$result" | grep -q "$3"
}

call ask_gemini '{"prompt": "Name one good reason to stream."}' '"text"'
call extract_json '{"schema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
                    "text": "name: Ada"}' '"name": "Ada"'
