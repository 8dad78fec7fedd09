"""An embedded, E2B-compatible desktop server: isolated Linux desktops without Docker, KVM or root.

Use it through the official E2B SDK: ``ensure_server(folder)`` returns the URL and key to give it.
"""

from sentient_desktop.errors import LaunchError
from sentient_desktop.launch import Endpoint, ensure_server, find_server, stop_server

__all__ = ["Endpoint", "LaunchError", "ensure_server", "find_server", "stop_server"]
