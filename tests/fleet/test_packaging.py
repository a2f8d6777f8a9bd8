"""What is in packaging/ for a fleet: it parses, its parts agree, and nginx passes events on at once."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from messages import INITIALIZE, tool_call
from network.raw_web import ACCEPT, modern_headers
from network.web_host import served
from ruamel.yaml import YAML
from waiting import became

from fleet.processes import fleet
from fleet.redis_server import RedisServer, free_port
from runapi_mcp import __version__
from runapi_mcp.settings import options
from runapi_mcp.sim import Simulator
from runapi_mcp.transports.http.options import add_flags

PACKAGING = Path(__file__).parents[2] / "packaging"
NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


def documents(name: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all((PACKAGING / name).read_text()))


def kind(name: str) -> dict[str, Any]:
    [found] = [one for one in documents("kubernetes.yaml") if one["kind"] == name]
    return found


def programs(*names: str) -> list[str]:
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    found = [shutil.which(name, path=beside) for name in names]
    if None in found:
        pytest.skip(f"not all of {', '.join(names)} are on this machine")
    return [path for path in found if path]


def settings_named(text: str) -> set[str]:
    return set(re.findall(r"RUNAPI_MCP_[A-Z_]+", text)) - {"RUNAPI_MCP_TOKENS"}


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "kubernetes.yaml"])
def test_every_setting_named_is_one(name: str) -> None:
    known = {option.env for option in options()}
    assert settings_named((PACKAGING / name).read_text()) <= known


def test_the_image_needs_neither_root_nor_a_place_to_write() -> None:
    dockerfile = (PACKAGING / "Dockerfile").read_text()
    assert re.search(r"^USER 10001", dockerfile, re.MULTILINE)
    assert "curl" not in dockerfile
    assert "/healthz" in dockerfile
    [service] = [
        one for name, one in documents("compose.yaml")[0]["services"].items() if name == "runapi-mcp"
    ]
    assert service["read_only"]
    assert service["deploy"]["replicas"] == 3
    container = kind("Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert container["securityContext"]["readOnlyRootFilesystem"]


def test_every_way_to_start_tells_callers_apart() -> None:
    compose = documents("compose.yaml")[0]["services"]["runapi-mcp"]["command"]
    cluster = kind("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    for command in (compose, cluster):
        assert "--auth=token" in command
        assert "--stateless" in command


def test_a_pod_gets_longer_to_end_than_its_calls_do() -> None:
    pod = kind("Deployment")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    [drain] = [float(arg.partition("=")[2]) for arg in container["args"] if arg.startswith("--drain=")]
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= before + drain + 5
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_the_autoscaler_counts_calls_in_flight() -> None:
    [metric] = kind("HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == "runapi_mcp_calls_in_flight"


def test_the_image_is_pinned_and_any_replica_answers() -> None:
    container = kind("Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == f"runapi-mcp:{__version__}"
    assert "sessionAffinity" not in kind("Service")["spec"]


def test_tokens_are_mounted_so_that_they_can_change() -> None:
    pod = kind("Deployment")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    [mount] = container["volumeMounts"]
    assert "subPath" not in mount, "what is mounted so never changes"
    assert f"--tokens={mount['mountPath']}/tokens" in container["args"]
    assert pod["volumes"][0]["secret"]["secretName"] == "runapi-mcp-tokens"


def test_the_manifest_is_what_kubernetes_takes() -> None:
    [validate] = programs("kubernetes-validate")
    command = [validate, "--strict", str(PACKAGING / "kubernetes.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_compose_file_is_what_compose_takes(tmp_path: Path) -> None:
    [validate] = programs("check-jsonschema")
    text = (PACKAGING / "compose.yaml").read_text()
    (tmp_path / "wrong.yaml").write_text(text.replace("restart:", "restarts:"))
    for file, right in ((PACKAGING / "compose.yaml", True), (tmp_path / "wrong.yaml", False)):
        command = [validate, "--builtin-schema", "vendor.compose-spec", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == right, done.stdout + done.stderr


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    [analyze] = programs("systemd-analyze")
    unit = (PACKAGING / "runapi-mcp.service").read_text()
    # Where it is installed is no matter here, as long as something is there.
    (tmp_path / "runapi-mcp.service").write_text(
        unit.replace("/opt/runapi-mcp/bin/runapi-mcp", sys.executable)
    )
    command = [analyze, "verify", str(tmp_path / "runapi-mcp.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "runapi-mcp.service" not in done.stderr, done.stderr


def test_the_units_flags_are_ours() -> None:
    unit = (PACKAGING / "runapi-mcp.service").read_text().replace("\\\n", " ")
    [line] = re.findall(r"^ExecStart=\S+ (.*)$", unit, re.MULTILINE)
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_flags(parser)
    assert parser.parse_args(line.split()[1:]).tokens == "/etc/runapi-mcp/tokens"


def test_the_alerts_ring_when_they_should() -> None:
    [promtool] = programs("promtool")
    for words in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]):
        done = subprocess.run([promtool, *words], cwd=PACKAGING, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def expressions() -> list[str]:
    board = json.loads((PACKAGING / "grafana-dashboard.json").read_text())
    shown = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rules = documents("alerts.yaml")[0]["groups"][0]["rules"]
    return [*shown, *(rule["expr"] for rule in rules)]


def test_prometheus_can_read_what_the_dashboard_asks(tmp_path: Path) -> None:
    [promtool] = programs("promtool")
    asked = [expr.replace("$job", "runapi-mcp") for expr in expressions()]
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(asked)]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    command = [promtool, "check", "rules", str(tmp_path / "rules.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


async def test_every_metric_that_is_asked_for_is_given(sim: Simulator) -> None:
    async with served(sim) as url, httpx.AsyncClient() as http:
        message = tool_call(1, "list_models", modern=True)
        await http.post(f"{url}/mcp", json=message, headers=modern_headers(message))
        given = (await http.get(f"{url}/metrics")).text
    families = {line.split()[2] for line in given.splitlines() if line.startswith("# TYPE")}
    asked = {name for expr in expressions() for name in re.findall(r"runapi_mcp_\w+", expr)}
    assert {name.removesuffix("_bucket") for name in asked} <= families


@contextmanager
def nginx(folder: Path, ports: list[int]) -> Iterator[int]:
    """Run nginx on our configuration, with these servers behind it; gives its port."""
    if NGINX is None:
        pytest.skip("no nginx on this machine: apt-get install nginx-light")
    port = free_port()
    given = (PACKAGING / "nginx.conf").read_text()
    servers = "\n".join(f"server 127.0.0.1:{one} max_fails=2 fail_timeout=5s;" for one in ports)
    given = re.sub(r"server runapi-mcp:8080[^;]*;", servers, given).replace("/tmp/", f"{folder}/")
    config = folder / "nginx.conf"
    config.write_text(given.replace("listen 8080;", f"listen 127.0.0.1:{port};"))
    command = [NGINX, "-e", "stderr", "-p", str(folder), "-c", str(config)]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    with subprocess.Popen([*command, "-g", "daemon off;"], stderr=subprocess.PIPE) as process:
        try:
            yield port
        finally:
            process.terminate()


async def test_nginx_passes_events_on_at_once_and_a_closed_call_upstream(
    sim: Simulator, redis: RedisServer, tmp_path: Path
) -> None:
    async with fleet(sim.base_url, redis.url, size=2) as two:
        with nginx(tmp_path, [server.port for server in two.servers]) as port:
            url = f"http://127.0.0.1:{port}"
            await became(lambda: answers(url))
            message = tool_call(1, "ask_gemini", modern=True, prompt="Behind a proxy [[sim:slow seconds=20]]")
            async with httpx.AsyncClient(timeout=20) as http:
                # Who asks how much is in /metrics, and nobody's business outside.
                for path, status in (("/", 200), ("/mcp/", 200), ("/healthz", 200), ("/metrics", 404)):
                    method, sent = ("POST", INITIALIZE) if "mcp" in path else ("GET", None)
                    answer = await http.request(method, f"{url}{path}", json=sent, headers=ACCEPT)
                    assert answer.status_code == status, path
                began = time.monotonic()
                async with http.stream(
                    "POST", f"{url}/mcp", json=message, headers=modern_headers(message)
                ) as response:
                    assert response.status_code == 200
                    heard = 0
                    async for line in response.aiter_lines():
                        heard += line.startswith("data: {")
                        if heard == 3:
                            break
                    assert json.loads(line[5:])["method"] == "notifications/progress"
                    assert time.monotonic() - began < 10, "what nginx kept to the end would come after 20 s"
                    call = await sim.wait_for_call()
            await call.wait_closed()
            assert call.ended == "client left"


async def answers(url: str) -> bool:
    async with httpx.AsyncClient() as http:
        with suppress(httpx.ConnectError):
            return (await http.get(f"{url}/healthz")).status_code == 200
    return False
