"""The server over the network: Streamable HTTP of both eras, and the older SSE transport.

Nothing is imported here, so that the command line can know the flags without the server.
"""
