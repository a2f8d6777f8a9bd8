"""The tools in a terminal: the same tools on the same generations, without MCP between.

Nothing is imported here: a completion script, or an error, must not wait for what asks a model.
"""
