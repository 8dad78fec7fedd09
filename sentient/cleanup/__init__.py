"""What is no longer needed: threads that are over, dead desktops, unreachable snapshots."""
