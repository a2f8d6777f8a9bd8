"""The program as on an idle machine: on a busy one it would not wait for the store, and go on without it."""

from runapi_mcp.__main__ import main
from runapi_mcp.generations.store.sqlite import SqliteEngine

SqliteEngine.patience = 10.0
main()
