"""What a question is counted with is about what Python takes for it, whatever it is made of."""

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import pytest

from generations.played import job
from runapi_mcp.generations.values import Job
from runapi_mcp.wire.types import Function, Text, Turn

SCHEMA = json.dumps({"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(5_000)}})
LIST = json.dumps(list(range(1_000, 21_000)))


def with_schema() -> Job:
    return replace(job(), arguments={"schema": json.loads(SCHEMA)})


def with_translated() -> Job:
    return replace(job(), call=replace(job().call, schema=json.loads(SCHEMA)))


def with_functions() -> Job:
    functions = tuple(Function(f"f{n}", "", json.loads(SCHEMA)) for n in range(2))
    return replace(job(), call=replace(job().call, functions=functions))


def with_numbers() -> Job:
    return replace(job(), arguments={"enum": json.loads(LIST)})


def with_parts() -> Job:
    parts = tuple(Text(f"part {n}") for n in range(10_000))
    return replace(job(), call=replace(job().call, turns=(Turn("user", parts),)))


def with_text() -> Job:
    return replace(job(), call=replace(job().call, turns=(Turn("user", (Text("word " * 500_000),)),)))


@pytest.mark.parametrize(
    "make", [with_schema, with_translated, with_functions, with_numbers, with_parts, with_text]
)
def test_a_question_counts_for_about_what_it_takes(make: Callable[[], Job]) -> None:
    tracemalloc.start()
    try:
        kept = make()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / 2 <= kept.size <= 3 * taken
