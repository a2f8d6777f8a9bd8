"""A model that is silent for more than ten minutes: every host gets its whole answer."""

import pytest

from benchmarks.silence import PATIENCE, measure
from benchmarks.table import README, read_rows


@pytest.mark.parametrize("host", PATIENCE)
def test_a_silence_of_more_than_ten_minutes_brings_every_host_the_whole_answer(host: str) -> None:
    row = measure(host)
    assert row.holds
    assert read_rows(README.read_text(encoding="utf-8"))[row.what] == row
