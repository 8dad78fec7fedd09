"""Keeping a desktop inside its bounds: control groups where allowed, a watchdog for the rest."""
