"""Savers of every kind for the tests."""

from saver_fixtures import open_new, saver, server

__all__ = ["open_new", "saver", "server"]
