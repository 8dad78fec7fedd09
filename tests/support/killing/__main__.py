"""`python -m killing`; see the package."""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from killing import plan
from killing.campaign import Order, run_campaign
from killing.job import preload
from killing.points import plant
from killing.scenarios import SCENARIOS


def main() -> int:
    """Run a campaign and print its summary as one JSON line, the last."""
    parser = argparse.ArgumentParser(prog="killing")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--model-url", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--both", action="store_true", help="kill the server each time as well")
    parser.add_argument("--servers", action="store_true", help="kill the server alone")
    parser.add_argument("--scenario", choices=SCENARIOS, default="model")
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON; {worker}: a number")
    parser.add_argument("--within", default="", help="node[.stage]: aim at these phases only")
    parser.add_argument(
        "--place", action="append", default=[], help="node.stage.point#n[,...]: kill there too"
    )
    parser.add_argument("--pairs", type=int, default=0, help="resumes, two at once")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    scenario = SCENARIOS[given.scenario]

    def planner(steps: list[plan.Step]) -> list[plan.Attempt]:
        draw = plan.draw_both if given.both else plan.draw
        draw = plan.draw_servers if given.servers else draw
        drawn = draw(steps, given.seed, given.threads, given.within)
        drawn = [replace(item, fresh=item.fresh and scenario.has_command) for item in drawn]
        return [*drawn, *plan.named(given.place, first=given.threads)]

    plant()
    preload()
    order = Order(
        given.folder, given.workers, given.model_url, planner, scenario, given.settings, given.pairs
    )
    summary = run_campaign(order)
    sys.stdout.write(json.dumps(asdict(summary)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
