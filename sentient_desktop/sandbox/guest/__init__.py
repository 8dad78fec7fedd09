"""The agent's parts. They run inside the desktop, on C modules of the standard library alone."""
