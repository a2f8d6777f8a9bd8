"""One tool on the Python SDK alone."""

from mcp.server.mcpserver import MCPServer

server = MCPServer("hello")


@server.tool()
async def hello(name: str) -> str:
    """Say hello."""
    return f"Hello, {name}."


server.run("stdio")
