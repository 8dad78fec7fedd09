"""Programs that are uploaded into a desktop and run there: standard library (and pytest) only."""
