"""Templates: what a desktop starts with besides the base every desktop has."""
