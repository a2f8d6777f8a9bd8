# Everything a fresh machine needs: Python >= 3.11, make, and a package index.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
READY := $(VENV)/.ready
RUNTIME := $(VENV)/.runtime
TOOLS := $(VENV)/.tools

BENCH := build/bench
LLMOCK := build/llmock
OUTER := tests/network tests/fleet tests/foreign tests/doctor tests/wheels tests/server_extras tests/test_docs.py \
	tests/test_examples.py tests/generations/test_telemetry.py
SDKS := tests/(sim/test_sim_sdks|tools/test_strict_modes|generations/test_telemetry|test_examples|conformance/)

# Where nothing compiled may be written, each of the thousand processes that tests start compiles all anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: manifest bench bench-evidence eval soak demo test test-outer conformance check types format clean wheel wheel-test mcpb inspector browser generated bench-schemas

demo: $(RUNTIME)        ## call every tool once, on a simulated RunAPI unless RUNAPI_TOKEN is set
	$(BIN)/runapi-mcp demo

test: $(READY)          ## the test suite; more than half of its time it waits, so five at once keep two cores busy
	$(BIN)/python -m pytest -n 5 --dist loadfile --no-loadscope-reorder $(addprefix --ignore=,$(OUTER))

test-outer: $(READY) $(LLMOCK)/.ready ## what needs whole processes and more time: network, fleet, docs, examples
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(OUTER)

conformance: $(READY)   ## the published MCP conformance suite, on a fixture and on the product
	$(BIN)/python -m pip install --quiet --group conformance
	$(BIN)/python tests/conformance/run.py

bench-schemas: $(READY) ## how much of JSON Schema extract_json takes: real-world schemas and the official suite
	$(BIN)/python -m pip download --quiet --no-deps --no-binary :all: --dest build/suite jsonschema==4.26.0
	$(BIN)/python -m benchmarks schemas

manifest: $(READY)      ## what the stdio prologue answers, from the real server
	$(BIN)/python -m runapi_mcp.boot.manifest

bench: $(BENCH)/.ready  ## figures beside their floors, into benchmarks/README.md; QUICK=1 takes a fourth of the time and prints
	$(BENCH)/bin/python -m benchmarks $(if $(QUICK),--quick)

bench-evidence: $(BENCH)/.ready ## where extracted values stand: recall and false nulls, beside LangExtract's aligner
	$(BENCH)/bin/python -m pip install --quiet --group bench-evidence
	$(BENCH)/bin/python -m benchmarks evidence

eval: $(BENCH)/.ready   ## 30 questions, 20 documents asked of RunAPI; says what it costs, and asks with YES=1; without a key the simulator
	$(BENCH)/bin/python -m benchmarks.eval $(if $(YES),--yes)

soak: $(BENCH)/.ready $(READY) ## 2,000 calls, hostile traffic, pings, sieges, links, a fleet replaced, 1,000 kills, linear scanners: all must hold
	$(BENCH)/bin/python -m benchmarks --hold soak hostile pings siege others links held rolling kills
	LAWS=by-chance $(BIN)/python -m pytest -q -n 2 tests/test_linear.py

$(LLMOCK)/.ready: pyproject.toml
	$(PYTHON) -m venv $(LLMOCK)
	$(LLMOCK)/$(notdir $(BIN))/python -m pip install --quiet --upgrade "pip>=25.1"
	$(LLMOCK)/$(notdir $(BIN))/python -m pip install --quiet --group foreign
	touch $@

$(BENCH)/.ready: pyproject.toml
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BENCH)/bin/python -m pip install --quiet --editable . --group bench
	touch $@

check: $(READY)         ## lint, format, types: here, and as Windows and macOS would be typed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory -j 2 types types-win32 types-darwin

types:
	$(BIN)/mypy

types-%:                 # but what imports the SDKs of others, which take longer than all of ours
	$(BIN)/mypy --platform $* --cache-dir .mypy_cache/$* runapi_mcp tests scripts --exclude '$(SDKS)'

format: $(READY)        ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generated: $(READY)     ## write every generated file anew, after a change of tools, settings or hosts
	$(BIN)/python -m runapi_mcp.boot.manifest
	UPDATE_SNAPSHOTS=1 $(BIN)/python -m pytest -q tests/server/test_schemas.py -k as_they_were_reviewed
	$(BIN)/python scripts/logo.py
	$(BIN)/python scripts/bundles.py
	$(BIN)/python scripts/links.py
	$(BIN)/python scripts/tables.py
	$(BIN)/python scripts/runs.py
	$(BIN)/python scripts/timeline.py
	$(BIN)/python scripts/hosts_page.py
	$(BIN)/python scripts/tools_page.py
	$(BIN)/python scripts/team_page.py
	$(BIN)/python scripts/picture.py
	$(BIN)/python -m benchmarks.picture

wheel: $(TOOLS)         ## build the wheel
	rm -rf dist
	$(BIN)/uv build --quiet --wheel --out-dir dist

wheel-test: wheel       ## use it in clean environments: lowest versions, newest, uvx, the bundle
	$(BIN)/python scripts/wheel_test.py dist/*.whl

mcpb: $(TOOLS)          ## build the bundle for Claude Desktop, judged by its own command line
	$(BIN)/python scripts/bundles.py --stage build/mcpb
	$(BIN)/python scripts/node_tools.py mcpb validate build/mcpb/manifest.json
	mkdir -p dist
	$(BIN)/python scripts/node_tools.py mcpb pack build/mcpb dist/runapi-mcp.mcpb

browser: $(READY)       ## the page of a server on the network, in Debian's Chromium: apt-get install chromium
	RUNAPI_MCP_BROWSER=1 $(BIN)/python -m pytest tests/browser

inspector: $(TOOLS)     ## the MCP Inspector lists and calls every tool over every transport
	$(BIN)/python scripts/inspector_check.py

$(RUNTIME): pyproject.toml # what the server needs; the rest comes with the first target that needs it
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $(READY)

$(TOOLS): $(READY)
	$(BIN)/python -m pip install --quiet --group packaging
	touch $(TOOLS)

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
