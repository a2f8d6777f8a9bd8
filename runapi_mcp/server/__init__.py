"""MCP only: the requests of hosts, from the protocol's side."""
