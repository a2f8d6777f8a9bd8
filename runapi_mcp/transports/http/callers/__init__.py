"""Who may call, and as whom: bearer tokens that the server hands out, RunAPI keys, or JSON web tokens."""
