"""What nodes and models use: desktops, shell, files, patches, test runs, repository map, repair."""
