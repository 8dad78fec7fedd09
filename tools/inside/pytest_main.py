"""Starts pytest so that nothing of the repository is imported before pytest and its plugins are.

    python -s -P [-S] pytest_main.py [FOLDER OF PACKAGES...] < TOLD

With `python -m pytest` a new file `pytest.py`, `sitecustomize.py` or a plugin's entry point in the
repository would run first, and could decide what the tests say. Here the repository comes onto the
path last in time, though first in order, as projects expect. What is told: `runner_commands.py`.
With -S that holds for a package that is installed in place, too.
"""

import json
import os
import sys
from importlib import metadata
from pathlib import Path

sys.path += sys.argv[1:]
sys.path.insert(0, str(Path(__file__).parent))
import sentient_report
import sentient_reporting

del sys.path[0]


def plugin_options():
    """Name the plugins that are installed; none is looked for in the repository.

    Nor is one taken from a package that was installed from a folder: that is the repository.
    """
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    entries = metadata.entry_points(group="pytest11")
    foreign = [entry for entry in entries if not is_from_folder(entry.dist)]
    return [option for entry in foreign for option in ("-p", entry.value.split(":")[0])]


def is_from_folder(distribution):
    return '"dir_info"' in (distribution.read_text("direct_url.json") or "")


def main():
    import pytest

    told = json.load(sys.stdin)
    reporter = sentient_report.Reporter(told)
    arguments = [*plugin_options(), *told["arguments"]]
    repo = Path.cwd()
    sentient_reporting.open_repository([repo, repo / "src"])
    sys.argv = ["pytest", *arguments]
    reporter.reach.start()
    sys.exit(pytest.main(arguments, plugins=[reporter]))


if __name__ == "__main__":
    main()
