"""One host on this process's own stdin and stdout."""
