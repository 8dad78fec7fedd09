"""What the tests share: a home folder with a real embedded server, and small repositories."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import own_home
from samples import CALCULATOR, MAIN, Repo, Run, write_files

from sentient.cli import main
from sentient_desktop import ensure_server
from tools.settings import Settings

CONFIGURATION = ("SENTIENT_", "OPENAI_", "E2B_", "LANGSMITH_", "LANGCHAIN_")


@pytest.fixture(scope="session", autouse=True)
def _own_configuration() -> None:
    """No configuration of the person who runs the tests reaches them."""
    for name in [name for name in os.environ if name.startswith(CONFIGURATION)]:
        del os.environ[name]
    for name in ("INSTALL", "MUTANTS", "BASELINE_RERUNS"):
        os.environ[f"SENTIENT_{name}"] = "0"  # they take seconds; tests of theirs ask for them


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, _own_configuration: None) -> Iterator[Path]:
    """A home folder whose embedded server is stopped at the end."""
    with own_home(tmp_path_factory, "shared") as folder:
        ensure_server(folder / "desktop")
        yield folder


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(home=home, model="none", repair_budget_s=20)


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """Makes a repository folder from {path: text}; without arguments, one with a wrong mean."""

    def make(files: dict[str, str] | None = None, name: str = "calculator") -> Path:
        return write_files(tmp_path / name, files or CALCULATOR)

    return make


@pytest.fixture
def sentient(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Run:
    """Runs the command in this process (importing it takes seconds), in the shared home folder."""

    def run(*args: str, env: dict[str, str] | None = None, input: str = "") -> object:
        capsysbinary.readouterr()
        with monkeypatch.context() as patch:
            for name, value in {"SENTIENT_HOME": str(home), **(env or {})}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["sentient", *args])
            patch.setattr(sys, "stdin", io.StringIO(input))
            with pytest.raises(SystemExit) as ended:
                main()
        out, err = (stream.decode() for stream in capsysbinary.readouterr())
        return subprocess.CompletedProcess(args, int(ended.value.code or 0), out, err)

    return run  # type: ignore[return-value]


@pytest.fixture
def sentient_process(home: Path) -> Run:
    """Runs the command in a process of its own, in the shared home folder."""

    def run(*args: str, env: dict[str, str] | None = None, **kwargs: object) -> object:
        options: dict[str, object] = {"timeout": 110, "input": "", **kwargs}
        return subprocess.run(
            [*MAIN, *args],
            env={**os.environ, "SENTIENT_HOME": str(home), **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            **options,  # type: ignore[call-overload]
        )

    return run  # type: ignore[return-value]
