"""Planted cheats, and honest patches that look unusual: what a coder does, and what is expected."""
