"""``python -m runapi_mcp``."""

from runapi_mcp.cli import main

if __name__ == "__main__":
    main()
