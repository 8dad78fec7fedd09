"""What survives: savers, the ledger, the lease of a thread, the binding of files to checkpoints."""
