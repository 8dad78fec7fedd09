"""Installing in a desktop that is made for it and that no model ever touched.

First what comes from indexes, then, where the repository is a package, the package itself, in
place. Only the second step runs code of the repository.
"""

import asyncio
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ValidationError
from uv import find_uv_bin

from tools.desktop import Desktop, Execution
from tools.environment.indexes import Index
from tools.environment.plan import MANIFEST, Plan
from tools.errors import EnvironmentFaultError
from tools.layout import CONTROL, ENVIRONMENT, HOME, PROGRAMS, REPO, install_programs

NODE_MODULES = f"{HOME}/node_modules"
"""A link into the environment: Node looks for modules in all folders above a file."""

NODE_LOCK = "package-lock.json"

WORKPLACE = f"{CONTROL}/install"
"""Holds what installing needs; it is no part of the result."""

FOUND_LIMIT = 64 << 20
LAST_WORDS = 1200
"""Characters that are kept of what an installer said when it failed."""

PREAMBLE = ("Using Python", "Resolved ", "Prepared ", "Downloading ", "   Building ")
DRAWING = re.compile("[\u00d7\u2500-\u257f\u25b6]")
"""What uv draws around its words."""


class Found(BaseModel):
    """What a desktop says of itself and of the repository in it."""

    python: str
    machine: str
    manifests: dict[str, str]


class InstallFailedError(Exception):
    """The installer ended with an error; the text is the end of what it said."""


class Installer:
    """Installs into the environment of one desktop, from the indexes at an address inside."""

    def __init__(
        self, desktop: Desktop, address: str, indexes: Sequence[Index], *, timeout_s: float
    ) -> None:
        self._desktop, self._timeout_s = desktop, timeout_s
        *extra, default = [f"{address}/{number}/" for number in range(len(indexes))]
        self._env = {
            "PATH": f"{WORKPLACE}:{ENVIRONMENT}/bin:/usr/local/bin:/usr/bin:/bin",
            "VIRTUAL_ENV": ENVIRONMENT,
            "UV_DEFAULT_INDEX": default,
            "UV_INDEX": " ".join(extra),
            "PIP_INDEX_URL": default,
            "PIP_EXTRA_INDEX_URL": " ".join(extra),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "UV_NO_CONFIG": "1",
            "UV_CACHE_DIR": f"{WORKPLACE}/cache",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
            "UV_HTTP_TIMEOUT": "600",
            "UV_HTTP_RETRIES": "0",
            "UV_COMPILE_BYTECODE": "1",
            "npm_config_registry": f"{address}/npm/",
            "npm_config_cache": f"{WORKPLACE}/cache/npm",
            "npm_config_replace_registry_host": "never",
            "npm_config_fetch_retries": "0",
            "npm_config_audit": "false",
            "npm_config_fund": "false",
            "npm_config_update_notifier": "false",
        }

    async def bring_uv(self) -> None:
        """Put this machine's uv into the desktop."""
        place = f"{WORKPLACE}/uv"
        await self._desktop.fs.upload(place, Path(await asyncio.to_thread(find_uv_bin)))
        joined = f"cat {place}.[0-9]* > {place} && chmod +x {place} && rm {place}.[0-9]*"
        done = await self._desktop.exec(f"{joined} && {place} --version")
        if not done.ok:
            raise EnvironmentFaultError(f"uv does not run in the desktop: {_last_words(done)}")

    async def install(self, lines: Sequence[str], constraints: Sequence[str]) -> None:
        """Install requirements from the indexes.

        Raises:
            InstallFailedError: they cannot be had.
        """
        await self._desktop.fs.write_files(
            {
                f"{WORKPLACE}/requirements.txt": "\n".join(lines),
                f"{WORKPLACE}/constraints.txt": "\n".join(constraints),
            }
        )
        await self._uv(WORKPLACE, "-r", "requirements.txt", "-c", "constraints.txt")

    async def install_package(self, plan: Plan) -> None:
        """Build and install the repository in place, with what only building could tell.

        Raises:
            InstallFailedError: it cannot be built, or what it needs cannot be had.
        """
        # the base has no history in which a version could be looked up
        names = ("SETUPTOOLS_SCM_PRETEND_VERSION", "PDM_BUILD_SCM_VERSION")
        self._env |= dict.fromkeys(names, plan.version)
        limits = ["-c", f"{WORKPLACE}/constraints.txt"]
        await self._desktop.fs.write_file(limits[1], "\n".join(plan.constraints))
        wanted = [f"{REPO}[{','.join(plan.extras)}]"] if plan.extras else []
        for target in [*wanted, REPO]:
            try:
                await self._uv(REPO, "-e", target, *limits)
            except InstallFailedError:
                if target == REPO:
                    raise
            else:
                return

    async def install_node(self, files: Mapping[str, str]) -> None:
        """Install what a package.json asks for, if any, where the repository's modules find it.

        Raises:
            InstallFailedError: npm is not there, or it cannot be had.
        """
        if not files:
            return
        place = {f"{ENVIRONMENT}/{name}": text for name, text in files.items()}
        await self._desktop.fs.write_files(place)
        await self._done("npm ci" if NODE_LOCK in files else "npm install", ENVIRONMENT)
        modules = shlex.quote(f"{ENVIRONMENT}/node_modules")
        link = f"mkdir -p {modules} && ln -sfn {modules} {NODE_MODULES} && rm -f"
        await self._desktop.exec(link, [*place, f"{ENVIRONMENT}/{NODE_LOCK}"])

    async def run(self, command: str) -> None:
        """Run a command of the user's own in the repository.

        Raises:
            InstallFailedError: it ended with an error.
        """
        with suppress(InstallFailedError):  # not every command needs it, nor every index has it
            await self._uv(WORKPLACE, "pip")
        await self._done(command, REPO)

    async def _uv(self, folder: str, *arguments: str) -> None:
        python = f"{ENVIRONMENT}/bin/python"
        await self._done(shlex.join(["uv", "pip", "install", "-p", python, *arguments]), folder)

    async def _done(self, command: str, folder: str) -> None:
        done = await self._desktop.exec(
            command, cwd=folder, env=self._env, timeout_s=self._timeout_s
        )
        if not done.ok:
            late = f"no end within {self._timeout_s:g} s; " if done.timed_out else ""
            raise InstallFailedError(late + _last_words(done))


def _last_words(done: Execution) -> str:
    """What an installer said, on one line: how it begins and how it ends."""
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    told = [DRAWING.sub(" ", line) for line in lines if not line.startswith(PREAMBLE)]
    text = " ".join(" ".join(told).split()) or f"exit code {done.exit_code}"
    half = LAST_WORDS // 2
    return text if len(text) <= LAST_WORDS else f"{text[:half]} ... {text[-half:]}"


async def make_environment(desktop: Desktop) -> Found:
    """Make an empty environment in the desktop, and read the manifests of its repository.

    Raises:
        EnvironmentFaultError: the desktop cannot do that.
    """
    out = f"{WORKPLACE}/found.json"
    options = {"env": ENVIRONMENT, "repo": REPO, "out": out, "names": MANIFEST.pattern}
    await install_programs(desktop)
    await desktop.exec("mkdir", ["-p", WORKPLACE])
    done = await desktop.exec("python", [f"{PROGRAMS}/make_environment.py", json.dumps(options)])
    if not done.ok:
        raise EnvironmentFaultError(f"no environment can be made: {_last_words(done)}")
    try:
        return Found.model_validate_json(await desktop.fs.read_bytes(out, FOUND_LIMIT))
    except ValidationError as error:
        raise EnvironmentFaultError(f"the desktop describes itself wrongly: {error}") from error


async def keep_environment_only(desktop: Desktop) -> None:
    """Remove all but the environment: the repository, and whatever a build left elsewhere."""
    paths = (CONTROL, ENVIRONMENT, NODE_MODULES)
    kept = [word for path in paths for word in ("!", "-path", path)]
    for folder in (HOME, CONTROL, "/tmp"):  # noqa: S108 -- the desktop's own
        away = ["-mindepth", "1", "-maxdepth", "1", *kept, "-exec", "rm", "-rf", "{}", "+"]
        await desktop.exec("find", [folder, *away])


async def is_usable(desktop: Desktop) -> bool:
    """Whether the environment of a desktop runs: its template may have another Python by now."""
    return (await desktop.exec(f"{ENVIRONMENT}/bin/python", ["-I", "-S", "-c", "import json"])).ok
