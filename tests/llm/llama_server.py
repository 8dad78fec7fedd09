"""An OpenAI-compatible server with a small real model: llama.cpp's own, in a process of its own.

    python llama_server.py MODEL_FILE PORT

Serves on loopback until its standard input ends: it must not outlive the test that started it.
"""

import sys

from xllamacpp import CommonParams, Server

NAME = "smollm2"
CONTEXT = 8192
"""Tokens of a conversation, prompt and answer."""


def main() -> None:
    path, port = sys.argv[1:]
    params = CommonParams()
    params.model.path = path
    params.model_alias = {NAME}
    params.n_ctx = CONTEXT
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    server = Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
