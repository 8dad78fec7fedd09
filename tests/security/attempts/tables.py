"""All attempts, class by class."""

from attempts import files, kernel, network, processes, resources, views

ATTEMPTS = [
    *files.ATTEMPTS,
    *views.ATTEMPTS,
    *kernel.ATTEMPTS,
    *processes.ATTEMPTS,
    *network.ATTEMPTS,
    *resources.ATTEMPTS,
]
