"""Starts pytest so that nothing of the repository is imported before pytest and its plugins are.

    python -s -P pytest_main.py '["pytest", "arguments"]'

With `python -m pytest` a new file `pytest.py`, `sitecustomize.py` or a plugin's entry point in the
repository would run first, and could decide what the tests say. Here the repository comes onto the
path last in time, though first in order, as projects expect.
"""

import json
import os
import sys
from importlib import metadata, util
from pathlib import Path


def plugin_options():
    """Name the plugins that are installed, so that none is looked for in the repository."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    entries = metadata.entry_points(group="pytest11")
    return [option for entry in entries for option in ("-p", entry.value.split(":")[0])]


def load_reporter():
    """Import our own plugin from beside this file, under its name, before anything can."""
    place = Path(__file__).with_name("sentient_report.py")
    spec = util.spec_from_file_location("sentient_report", place)
    module = util.module_from_spec(spec)
    sys.modules["sentient_report"] = module
    spec.loader.exec_module(module)
    return module


def main():
    import pytest

    options = plugin_options()
    reporter = load_reporter()
    repo = Path.cwd()
    paths = [str(path) for path in (repo / "src", repo) if path.is_dir()]
    sys.path[:0] = paths[::-1]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)  # for the programs that tests start
    arguments = [*options, *json.loads(sys.argv[1])]
    sys.argv = ["pytest", *arguments]
    sys.exit(pytest.main(arguments, plugins=[reporter]))


if __name__ == "__main__":
    main()
