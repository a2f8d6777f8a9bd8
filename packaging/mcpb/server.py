"""Starts the server that lies beside this file, in the environment that uv made from pyproject.toml."""

from runapi_mcp.cli.main import main

if __name__ == "__main__":
    main()
