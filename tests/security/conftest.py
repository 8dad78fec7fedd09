"""The security tests share one server."""

from desktop_fixtures import create, data_dir, desktop, folder, options, options_for, server

__all__ = ["create", "data_dir", "desktop", "folder", "options", "options_for", "server"]
