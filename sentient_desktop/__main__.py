"""Command line: ``python -m sentient_desktop serve|ensure|stop|key|build``."""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

from sentient_desktop.errors import ApiError, LaunchError, ProbeError
from sentient_desktop.launch import ensure_server, stop_server
from sentient_desktop.limits.means import NAMES
from sentient_desktop.owners import add_key, remove_key
from sentient_desktop.serve import run_server
from sentient_desktop.settings import Limits, Quota, Settings
from sentient_desktop.templates.recipes import RECIPES
from sentient_desktop.templates.shelf import Shelf, default_folder

_MIB = 1 << 20
POOL_LIMIT = 64
EXIT_FAILED, EXIT_ENVIRONMENT = 1, 4


def _print_endpoint(url: str, api_key: str) -> None:
    sys.stdout.write(json.dumps({"url": url, "api_key": api_key}) + "\n")
    sys.stdout.flush()


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 0 <= value <= POOL_LIMIT:
        raise argparse.ArgumentTypeError(f"{text} is not 0 to {POOL_LIMIT}")
    return value


def _add_limits(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("bounds on each desktop")
    group.add_argument("--cpus", type=_positive, help="processor time, in cores (default: all)")
    group.add_argument("--memory-mb", type=_positive, help="memory (default: 4096)")
    group.add_argument("--disk-mb", type=_positive, help="disk, softly (default: 10240)")
    group.add_argument("--processes", type=int, help="processes and threads (default: 512)")
    group.add_argument(
        "--free-mb", type=_positive, help="free space of the data folder to keep (default: 1024)"
    )
    group.add_argument(
        "--limits-by", choices=("auto", *NAMES), default="auto", help="the means to enforce them by"
    )


def _limits(options: argparse.Namespace) -> Limits:
    given = {
        "cpus": options.cpus,
        "processes": options.processes,
        **{
            field: megabytes and int(megabytes * _MIB)
            for field, megabytes in (
                ("memory_bytes", options.memory_mb),
                ("disk_bytes", options.disk_mb),
                ("free_bytes", options.free_mb),
            )
        },
    }
    return Limits(**{field: value for field, value in given.items() if value is not None})


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
            command.add_argument(
                "--pool",
                type=_count,
                default=Settings.pooled,
                help="desktops of each template to keep ready (default: 2)",
            )
            command.add_argument(
                "--idle-s",
                type=float,
                default=Settings.idle_s,
                help="suspend desktops unused for so long (default: 1800; 0: never)",
            )
            command.add_argument(
                "--grace-s",
                type=_positive,
                default=Settings.grace_s,
                help="how long open requests may go on after SIGTERM (default: 3)",
            )
            _add_limits(command)
            _add_quota(command)
            _add_egress(command)
    _add_key(commands.add_parser("key", help="add or remove an owner's API key, any time"))
    build = commands.add_parser(
        "build", help="install a template's packages ahead of its first use"
    )
    build.add_argument("template", choices=RECIPES)
    build.set_defaults(data_dir=Path())
    return parser


def _build(template: str) -> None:
    try:
        path = asyncio.run(Shelf(default_folder()).ensure(template))
    except ApiError as error:
        raise LaunchError(error.message) from error
    sys.stdout.write(f"{path or 'this template adds no packages'}\n")


def _add_key(command: argparse.ArgumentParser) -> None:
    command.add_argument("action", choices=("add", "remove"), help="add prints the key, once")
    command.add_argument("owner", help="a name: a-z, 0-9, _ and -")
    command.add_argument("--data-dir", type=Path, required=True)
    _add_quota(command)


def _add_quota(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("quotas of each owner (none by default)")
    group.add_argument("--max-desktops", type=int, help="desktops, paused ones included")
    group.add_argument("--max-cpus", type=_positive, help="their bounds on cores, added up")
    group.add_argument("--max-memory-mb", type=_positive, help="their bounds on memory, added up")
    group.add_argument("--max-snapshot-mb", type=_positive, help="disk of snapshots")


def _quota(options: argparse.Namespace) -> dict[str, float]:
    memory_mb, snapshot_mb = options.max_memory_mb, options.max_snapshot_mb
    given = {
        "desktops": options.max_desktops,
        "cpus": options.max_cpus,
        "memory_bytes": memory_mb and int(memory_mb * _MIB),
        "snapshot_bytes": snapshot_mb and int(snapshot_mb * _MIB),
    }
    return {name: value for name, value in given.items() if value is not None}


def _add_egress(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("way out")
    group.add_argument(
        "--open-egress", action="store_true",
        help="desktops without rules get all of IPv4's internet, by pasta or slirp4netns",
    )  # fmt: skip
    group.add_argument(
        "--private-egress", action="append", default=[], metavar="CIDR",
        help="a block that is not the internet, for desktops with a rule that allows it",
    )  # fmt: skip
    group.add_argument(
        "--egress-host", action="append", default=[], metavar="NAME=ADDRESS",
        help="the address of a host that is not to be looked up",
    )  # fmt: skip


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        options.data_dir.absolute(),
        pooled=options.pool,
        host=options.host,
        port=options.port,
        limits=_limits(options),
        limits_by=options.limits_by,
        quota=Quota(**_quota(options)),  # type: ignore[arg-type]
        grace_s=options.grace_s,
        idle_s=options.idle_s,
        open_egress=options.open_egress,
        private_egress=tuple(options.private_egress),
        hosts=tuple(entry.partition("=")[::2] for entry in options.egress_host),
    )


def main() -> int:
    """Run one command; exit code 4 means this machine cannot isolate desktops."""
    options = _parser().parse_args()
    data_dir = options.data_dir.absolute()
    try:
        if options.command == "serve":
            os.chdir("/")  # hold no folder of the caller's busy
            run_server(_settings(options), _print_endpoint)
        elif options.command == "ensure":
            endpoint = ensure_server(data_dir)
            _print_endpoint(endpoint.url, endpoint.api_key)
        elif options.command == "stop":
            stop_server(data_dir)
        elif options.command == "build":
            _build(options.template)
        elif options.action == "add":
            sys.stdout.write(add_key(data_dir, options.owner, _quota(options)) + "\n")
        else:
            remove_key(data_dir, options.owner)
    except ProbeError as error:
        sys.stderr.write(f"sentient_desktop: {error}\n")
        return EXIT_ENVIRONMENT
    except LaunchError as error:
        sys.stderr.write(f"sentient_desktop: {error}\n")
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
