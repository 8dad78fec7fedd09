"""What outlives the server process: the registry of desktops and the layers of their disks."""
