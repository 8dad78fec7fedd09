"""One role a file, the state they share, and the context in which they run."""
