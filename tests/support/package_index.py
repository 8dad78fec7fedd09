"""A package index on loopback, of Python and of npm, behind a password, with a log."""

import base64
import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from textwrap import dedent

USER, PASSWORD = "reader", "canary-of-the-index"

BACKEND = """
import sys, zipfile
from pathlib import Path

NAME, VERSION = {name!r}, {version!r}

def build_wheel(folder, config_settings=None, metadata_directory=None, editable=False):
    probe = Path("probe.py")
    if probe.exists():
        exec(compile(probe.read_text(), "probe.py", "exec"), {{}})
    name = f"{{NAME}}-{{VERSION}}-py3-none-any.whl"
    info = f"{{NAME}}-{{VERSION}}.dist-info"
    with zipfile.ZipFile(Path(folder, name), "w") as wheel:
        if editable:
            wheel.writestr(f"{{NAME}}.pth", str(Path("src").resolve()))
        else:
            for path in sorted(Path("src").rglob("*")):
                if path.is_file():
                    wheel.write(path, str(path.relative_to("src")))
        wheel.writestr(f"{{info}}/METADATA", {metadata!r})
        wheel.writestr(f"{{info}}/WHEEL", {tags!r})
        if Path("entry_points.txt").exists():
            wheel.write("entry_points.txt", f"{{info}}/entry_points.txt")
        wheel.writestr(f"{{info}}/RECORD", "")
    return name

def build_editable(folder, config_settings=None, metadata_directory=None):
    return build_wheel(folder, editable=True)
"""

TAGS = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

BUILD_SYSTEM = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def backend(name: str, version: str) -> str:
    """A build backend in one file, so that building needs no index; runs `probe.py`, if any."""
    return BACKEND.format(name=name, version=version, metadata=_metadata(name, version), tags=TAGS)


def _metadata(name: str, version: str) -> str:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


def wheel(name: str, version: str, files: dict[str, str]) -> tuple[str, bytes]:
    """A wheel's file name and bytes."""
    info, data = f"{name}-{version}.dist-info", io.BytesIO()
    metadata = _metadata(name, version)
    with zipfile.ZipFile(data, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, dedent(text))
        for path, text in (("METADATA", metadata), ("WHEEL", TAGS), ("RECORD", "")):
            archive.writestr(f"{info}/{path}", text)
    return f"{name}-{version}-py3-none-any.whl", data.getvalue()


def sdist(name: str, version: str, files: dict[str, str]) -> tuple[str, bytes]:
    """A source distribution that builds itself without anything else."""
    data, top = io.BytesIO(), f"{name}-{version}"
    project = f'{BUILD_SYSTEM}[project]\nname = "{name}"\nversion = "{version}"\n'
    held = {"pyproject.toml": project, "backend.py": backend(name, version), **files}
    held["PKG-INFO"] = _metadata(name, version)
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for path, text in held.items():
            entry = tarfile.TarInfo(f"{top}/{path}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return f"{top}.tar.gz", data.getvalue()


def tarball(name: str, code: str) -> tuple[str, bytes]:
    """A package of npm's, version 1.0.0."""
    data = io.BytesIO()
    held = {"package.json": json.dumps({"name": name, "version": "1.0.0"}), "index.js": code}
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for path, text in held.items():
            entry = tarfile.TarInfo(f"package/{path}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return f"{name}-1.0.0.tgz", data.getvalue()


class PackageIndex:
    """What is served, and what was asked for: (path, whether with the password)."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[tuple[str, bool]] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/simple/"

    @property
    def url_with_password(self) -> str:
        return self.url.replace("//", f"//{USER}:{PASSWORD}@")

    @property
    def fetched(self) -> list[str]:
        return sorted(path for path, _ in self.asked if path.startswith("/files/"))

    def answer(self, path: str) -> tuple[int, str, bytes]:
        name = path.strip("/").rpartition("/")[2]
        if path.startswith("/files/") and name in self.files:
            return 200, "application/octet-stream", self.files[name]
        if path.startswith("/simple/") and not path.endswith("/"):
            return self.package(name)
        links = [
            f'<a href="../../files/{file}#sha256={hashlib.sha256(data).hexdigest()}">{file}</a>'
            for file, data in self.files.items()
            if file.lower().startswith(f"{name}-")
        ]
        if path.startswith("/simple/") and links:
            return 200, "text/html", f"<html><body>{''.join(links)}</body></html>".encode()
        return 404, "text/plain", b"nothing here"

    def package(self, name: str) -> tuple[int, str, bytes]:
        """What npm asks for."""
        file, versions = f"{name}-1.0.0.tgz", {}
        if file in self.files:
            dist = {"tarball": f"/files/{file}"}
            versions["1.0.0"] = {"name": name, "version": "1.0.0", "dist": dist}
        page = {"name": name, "dist-tags": {"latest": "1.0.0"}, "versions": versions}
        return (200 if versions else 404), "application/json", json.dumps(page).encode()


@contextmanager
def package_index(*packages: tuple[str, bytes]) -> Iterator[PackageIndex]:
    """Serve packages until the block ends."""
    index = PackageIndex(dict(packages))
    token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers.get("Authorization") == f"Basic {token}"
            index.asked.append((self.path, known))
            status, kind, body = index.answer(self.path) if known else (401, "text/plain", b"who?")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    index.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
