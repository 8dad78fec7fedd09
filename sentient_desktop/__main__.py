"""Command line: ``python -m sentient_desktop serve|ensure|stop``."""

import argparse
import json
import os
import sys
from pathlib import Path

from sentient_desktop.errors import LaunchError, ProbeError
from sentient_desktop.launch import ensure_server, stop_server
from sentient_desktop.serve import run_server
from sentient_desktop.settings import Settings

EXIT_FAILED, EXIT_ENVIRONMENT = 1, 4


def _print_endpoint(url: str, api_key: str) -> None:
    sys.stdout.write(json.dumps({"url": url, "api_key": api_key}) + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sentient_desktop", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("serve", "run in the foreground; print one JSON line when ready"),
        ("ensure", "find or start the background server; print one JSON line"),
        ("stop", "stop the background server; desktops stay on disk"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--data-dir", type=Path, required=True)
        if name == "serve":
            command.add_argument("--host", default="127.0.0.1")
            command.add_argument("--port", type=int, default=0)
    return parser


def main() -> int:
    """Run one command; exit code 4 means this machine cannot isolate desktops."""
    options = _parser().parse_args()
    data_dir = options.data_dir.absolute()
    try:
        if options.command == "serve":
            os.chdir("/")  # hold no folder of the caller's busy
            run_server(Settings(data_dir, options.host, options.port), _print_endpoint)
        elif options.command == "ensure":
            endpoint = ensure_server(data_dir)
            _print_endpoint(endpoint.url, endpoint.api_key)
        else:
            stop_server(data_dir)
    except ProbeError as error:
        sys.stderr.write(f"sentient_desktop: {error}\n")
        return EXIT_ENVIRONMENT
    except LaunchError as error:
        sys.stderr.write(f"sentient_desktop: {error}\n")
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
