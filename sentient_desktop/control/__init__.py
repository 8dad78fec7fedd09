"""The control plane: the REST calls that create, find, pause, snapshot and end desktops."""
