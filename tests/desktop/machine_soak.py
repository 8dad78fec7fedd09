"""Many sequences of the state machine, in parallel, resumable: what ``make machine`` runs.

    python machine_soak.py [--sequences N] [--workers N] [--seed N] [--folder DIR]

Sequences come in chunks, each with a seed of its own. A chunk that held is a line in DIR's log
with its seed and what it did; running again goes on after the last. A chunk that failed is shown,
ends the run with exit code 1, and is repeated by ``--seed SEED --sequences 1``. Each worker has a
server of its own.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/support"), str(ROOT / "tests/desktop")]

CHUNK = 50


def work(worker: int, seeds: list[int], chunk: int, folder: Path) -> int:
    """Run chunks on a server of this worker's own; return how many failed."""
    import httpx
    from desktop_fixtures import sdk_options
    from hypothesis import seed
    from test_machine import Machine, run

    from sentient_desktop import ensure_server, stop_server

    endpoint = ensure_server(folder / f"server{worker}")
    try:
        for number in seeds:

            @seed(number)
            class Here(Machine):
                options = sdk_options(endpoint)

            Here.performed = {}
            began = time.monotonic()
            with httpx.Client(base_url=endpoint.url) as Here.http:
                run(Here, chunk, derandomize=False)
                if Here.spare is not None:
                    Here.spare.sandbox.kill()
            line = {"seed": number, "seconds": round(time.monotonic() - began, 1), **Here.performed}
            with (folder / "log").open("a") as log:
                log.write(json.dumps(line) + "\n")
    except BaseException:
        sys.stderr.write(f"FAILED: --seed {number} --sequences {chunk} --workers 1\n")
        raise
    finally:
        stop_server(folder / f"server{worker}")
    return 0


def read_log(folder: Path) -> list[dict[str, Any]]:
    path = folder / "log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/sentient-machine"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    done = {line["seed"] for line in read_log(options.folder)}
    chunk = min(CHUNK, options.sequences)
    first, count = options.seed, -(-options.sequences // chunk)
    seeds = [seed for seed in range(first, first + count) if seed not in done]
    context = get_context("spawn")
    workers = [
        context.Process(target=work, args=(n, seeds[n :: options.workers], chunk, options.folder))
        for n in range(options.workers)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    lines = [line for line in read_log(options.folder) if first <= line["seed"] < first + count]
    total: Counter[str] = Counter()
    for line in lines:
        total.update({key: value for key, value in line.items() if key != "seed"})
    sys.stdout.write(json.dumps({"seeds": [first, first + count - 1], **total}, indent=1) + "\n")
    return 0 if total["sequences"] >= options.sequences else 1


if __name__ == "__main__":
    sys.exit(main())
