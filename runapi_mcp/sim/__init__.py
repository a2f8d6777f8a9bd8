"""A simulated RunAPI on a real loopback socket. Everything it says is marked as simulated.

Read `app` for the routes, `chat` and `native` for the literal shapes of the two dialects, `scenarios` for
everything that can go right or wrong, `play` for how bytes get onto the socket. It imports nothing else of
this package, so that it can prove the client wrong.
"""

from runapi_mcp.sim.record import SeenCall
from runapi_mcp.sim.roster import GEMINI, Roster
from runapi_mcp.sim.scenarios import SCENARIOS, Scenario
from runapi_mcp.sim.server import Simulator, serve, simulate

__all__ = [
    "GEMINI",
    "SCENARIOS",
    "Roster",
    "Scenario",
    "SeenCall",
    "Simulator",
    "serve",
    "simulate",
]
