"""The code interpreter: contexts that keep their state, spoken to on port 49999 as E2B does."""
