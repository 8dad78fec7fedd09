"""Measurements of the embedded desktop, each beside the physical limit found in the same run."""
