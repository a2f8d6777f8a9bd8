import pytest

from network.web_host import Measured
from runapi_mcp.sim import SeenCall


@pytest.fixture
def measured(capsys: pytest.CaptureFixture[str]) -> Measured:
    """See that a call was closed soon after a moment, and print how soon."""

    def measured(what: str, call: SeenCall, since: float) -> None:
        assert call.closed_at is not None
        took = call.closed_at - since
        with capsys.disabled():
            print(f"\n  {what} → upstream closed {took * 1000:.1f} ms")
        assert call.ended == "client left"
        assert took < 0.5, "far above the 50 ms that an idle machine needs"

    return measured
