"""The command line, for people at a terminal and for hosts that start the server."""
