"""The base template: what every desktop sees at /etc and /opt/desktop, built once per content.

/etc is generated, never the host's: user names, a tiny profile, and copies of the few host files
programs need (linker cache, certificates, time zone). /opt/desktop is a virtual environment over
the server's own base interpreter with the tools every repository's tests need, copied from the
server's environment, so nothing is downloaded.
"""

import hashlib
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from sentient_desktop.sandbox.argv import PACKAGES_MOUNT, PYTHON_MOUNT
from sentient_desktop.store.trees import flush, remove_tree

DISTRIBUTIONS = (
    "pytest", "pluggy", "iniconfig", "packaging", "pygments", "pytest-timeout", "coverage",
)  # fmt: skip
"""Copied into every desktop; on Python 3.11 and later these need nothing else."""

VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
INTERPRETER = f"/opt/desktop/bin/{VERSION}"
START_AGENT = (
    "import sys; sys.path.insert(0, '/opt/desktop/agent'); "
    "from sentient_desktop.sandbox.agent import main; main()"
)
AGENT_FILES = (
    "__init__.py", "agent.py", "guest/__init__.py", "guest/wire.py", "guest/files.py",
    "guest/processes.py", "guest/watching.py", "guest/relay.py", "guest/trees.py",
    "guest/transfers.py",
)  # fmt: skip
"""Modules of this package that run inside; compiled into the template, they start faster."""

PATH = "/opt/desktop/bin:/home/user/.local/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

NAMESERVER = "198.51.100.3"
"""Answered by the program that connects a desktop to the internet; of no use where none runs."""

_GENERATED = {
    "passwd": (
        "root:x:0:0:root:/root:/bin/bash\n"
        "user:x:1000:1000:user:/home/user:/bin/bash\n"
        "nobody:x:65534:65534:nobody:/:/bin/false\n"
    ),
    "group": "root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost desktop\n::1 localhost\n",
    "hostname": "desktop\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "resolv.conf": f"nameserver {NAMESERVER}\noptions timeout:2 attempts:2\n",
    "profile": "umask 022\n",
    "bash.bashrc": "",
    "shells": "/bin/sh\n/bin/bash\n",
}


def _java() -> list[str]:
    """Return the settings without which Java does not start, access to its management left out."""
    homes = Path("/etc").glob("java-*-openjdk")
    return [f"{h.name}/{f.name}" for h in homes for f in h.iterdir() if f.name != "management"]


_COPIED = (
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "ssl/certs", "ssl/openssl.cnf",
    "ca-certificates.conf", "mime.types", "localtime", "terminfo", "inputrc", VERSION,
    *_java(),
)  # fmt: skip
"""Host files that hold no secrets and without which ordinary programs fail."""


_PACKAGE = Path(__file__).parent
_KERNELS = _PACKAGE.parent / "interpreter/guest"
"""Programs that run the contexts of the code interpreter inside."""


@dataclass(frozen=True)
class Interpreter:
    """Where the desktop's Python comes from and where the guest finds it."""

    base: str
    """The interpreter's prefix as the guest sees it."""
    prefix: str | None = None
    """Host prefix to show at /opt/python, None when the interpreter is already under /usr."""
    usr_local: str | None = None
    """The prefix when it is /usr/local itself, which is masked otherwise."""

    @property
    def site_packages(self) -> str | None:
        """The base interpreter's own packages inside, to be emptied; /usr's are the system's."""
        if self.prefix is None and self.usr_local is None:
            return None
        return f"{self.base}/lib/{VERSION}/site-packages"


@dataclass(frozen=True)
class Template:
    """A finished template on the host."""

    etc: Path
    desktop: Path
    interpreter: Interpreter


def find_interpreter(base_prefix: str = sys.base_prefix) -> Interpreter:
    """Decide how the guest gets the interpreter this server's environment was made from."""
    prefix = str(Path(base_prefix).resolve())
    if prefix == "/usr/local":
        return Interpreter(prefix, usr_local=prefix)
    if prefix == "/usr" or (prefix.startswith("/usr/") and not prefix.startswith("/usr/local/")):
        return Interpreter(prefix)
    return Interpreter(PYTHON_MOUNT, prefix=prefix)


def _fingerprint(interpreter: Interpreter) -> str:
    """Hash what the template is made of; a new one is built when any of it changes."""
    parts = [sys.version, repr(interpreter), repr(_GENERATED), PATH]
    parts += [f"{name}=={metadata.version(name)}" for name in DISTRIBUTIONS]
    for name in _COPIED:
        path = Path("/etc", name)
        parts.append(f"{name}@{path.stat().st_mtime_ns}" if path.exists() else name)
    parts += [(_PACKAGE / name).read_text() for name in ("runtime.py", *AGENT_FILES)]
    parts += [path.read_text() for path in sorted(_KERNELS.iterdir()) if path.is_file()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _build_etc(etc: Path) -> None:
    etc.mkdir()
    for name, text in _GENERATED.items():
        (etc / name).write_text(text)
    for name in _COPIED:
        source, target = Path("/etc", name), etc / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True)
        elif source.is_file():
            shutil.copyfile(source, target)


def _copy_distribution(name: str, site_packages: Path) -> None:
    """Copy a distribution's own files; scripts and host bytecode (which names host paths) not."""
    for file in metadata.files(name) or []:
        if ".." in file.parts or "__pycache__" in file.parts:
            continue
        target = site_packages / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.locate(), target)


def _install_interpreter(binaries: Path, interpreter: Interpreter) -> None:
    """Copy the interpreter's executable, as ``venv --copies`` does, with its library path moved.

    A shared build finds libpython by the absolute path of its prefix, which is elsewhere inside;
    it would silently load the system's. The path in the copy is overwritten in place.
    """
    host_prefix = interpreter.prefix or interpreter.base
    program = Path(host_prefix, "bin", VERSION).read_bytes()
    old, new = f"{host_prefix}/lib".encode(), f"{interpreter.base}/lib".encode()
    if old != new and len(new) <= len(old):
        program = program.replace(old + b"\0", new.ljust(len(old), b"\0") + b"\0")
    (binaries / VERSION).write_bytes(program)
    (binaries / VERSION).chmod(0o755)
    for name in ("python", "python3"):
        (binaries / name).symlink_to(VERSION)


def _install_agent(agent: Path) -> None:
    for name in AGENT_FILES:
        target = agent / "sentient_desktop/sandbox" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_PACKAGE / name, target)
    (agent / "sentient_desktop/__init__.py").touch()


def _build_desktop(desktop: Path, interpreter: Interpreter) -> None:
    binaries, site_packages = desktop / "bin", desktop / "lib" / VERSION / "site-packages"
    binaries.mkdir(parents=True)
    site_packages.mkdir(parents=True)
    home = f"home = {interpreter.base}/bin\ninclude-system-site-packages = false\n"
    (desktop / "pyvenv.cfg").write_text(home)
    _install_interpreter(binaries, interpreter)
    for name, module in (("pytest", "pytest"), ("py.test", "pytest"), ("coverage", "coverage")):
        script = binaries / name
        script.write_text(f'#!/bin/sh\nexec /opt/desktop/bin/python -m {module} "$@"\n')
        script.chmod(0o755)
    for name in DISTRIBUTIONS:
        _copy_distribution(name, site_packages)
    (site_packages / "packages.pth").write_text(f"{PACKAGES_MOUNT}\n")  # nothing, if not mounted
    _install_agent(desktop / "agent")
    shutil.copytree(_KERNELS, desktop / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    compile_tree(desktop, "/opt/desktop")


def compile_tree(folder: Path, mount: str) -> None:
    """Compile all modules below ``folder``, which desktops will see, read-only, at ``mount``."""
    jobs = "0" if os.access("/dev/shm", os.W_OK) else "1"  # noqa: S108 - for locks
    subprocess.run(
        [
            sys.executable, "-I", "-m", "compileall", "-q", "-j", jobs, "--invalidation-mode",
            "unchecked-hash", "-s", str(folder), "-p", mount, str(folder),
        ],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        cwd="/",
    )  # fmt: skip


def ensure_template(folder: Path) -> Template:
    """Return the base template below ``folder``, building it (about 2 s) when it is not there."""
    interpreter = find_interpreter()
    final = folder / _fingerprint(interpreter)
    if not final.is_dir():
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = folder / f"{secrets.token_hex(8)}.unfinished"
        draft.mkdir()
        _build_etc(draft / "etc")
        _build_desktop(draft / "desktop", interpreter)
        flush(draft)
        draft.rename(final)
        for stale in folder.glob("*.unfinished"):
            remove_tree(stale)
    return Template(final / "etc", final / "desktop", interpreter)


def command_environment(desktop_id: str, template: str) -> dict[str, str]:
    """Return the variables every command starts with; E2B's own names included."""
    return {
        "PATH": PATH,
        "HOME": "/home/user",
        "USER": "user",
        "LOGNAME": "user",
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "TMPDIR": "/tmp",  # noqa: S108 - the guest's own
        "E2B_SANDBOX": "true",
        "E2B_SANDBOX_ID": desktop_id,
        "E2B_TEMPLATE_ID": template,
    }
