from pathlib import Path

import pytest

from hosts.desk import Desk
from runapi_mcp.hosts import Machine


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Machine("linux", {}, str(tmp_path)))
