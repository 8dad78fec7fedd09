"""How a desktop is isolated: the jail's command line, its filter, its pid 1 and its processes."""
