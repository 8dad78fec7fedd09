"""The shell around the graphs: the `sentient` command."""
