"""The `sentient` command with the points of `killing` planted, and a blow to meet.

python -m killing.command TRACE AT FD [parent] -- arguments of sentient
"""

import sys
from pathlib import Path

from killing.points import begin, plant
from killing.trace import Blow, Trace

TRACE, AT, FD, BY = sys.argv[1:5]

plant()
begin(Trace(Path(TRACE), fresh=False), Blow(int(AT), 0.0 if BY else None), int(FD))
sys.argv = ["sentient", *sys.argv[sys.argv.index("--") + 1 :]]
from sentient.cli import main  # noqa: E402 -- only after the points are planted

main()
