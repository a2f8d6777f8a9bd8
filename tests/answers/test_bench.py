"""The schema bench's own bar, held in the suite."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "benchmarks" / "schemas" / "bench.py"


@pytest.fixture
def bench() -> Any:
    spec = spec_from_file_location("schema_bench", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["schema_bench"] = module
    spec.loader.exec_module(module)
    return module


async def test_real_world_schemas_are_usable_and_every_result_conforms(bench: Any) -> None:
    found = await bench.measure_real(bench.real_schemas())
    assert found.total >= 40
    assert found.usable >= 0.95 * found.total, found.unusable
    assert found.judged == found.usable
