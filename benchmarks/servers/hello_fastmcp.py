"""One tool on FastMCP."""

from fastmcp import FastMCP

server = FastMCP("hello")


@server.tool
async def hello(name: str) -> str:
    """Say hello."""
    return f"Hello, {name}."


server.run("stdio", show_banner=False)
