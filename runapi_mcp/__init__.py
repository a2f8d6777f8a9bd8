"""Gemini as MCP tools, through RunAPI: always streaming, never holding the host."""

__version__ = "0.1.0"
