"""Output into a pipe that is closed early."""

import subprocess
import sys


def test_a_reader_that_has_seen_enough_causes_no_traceback() -> None:
    command = [sys.executable, "-u", "-m", "runapi_mcp", "sim", "--list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        noise = process.stderr.read()
    assert noise == b""
    assert process.returncode == 0
