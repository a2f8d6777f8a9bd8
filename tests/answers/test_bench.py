"""The schema bench's own bar, held in the suite."""

from benchmarks.schemas.bench import measure_real, real_schemas


async def test_real_world_schemas_are_usable_and_every_result_conforms() -> None:
    found = await measure_real(real_schemas())
    assert found.total >= 40
    assert found.usable >= 0.95 * found.total, found.unusable
    assert found.judged == found.usable
