"""Running the server day by day: logs, measurements, idle desktops, an orderly end."""
