"""`sentient doctor`."""

import typer

from sentient.doctor import examine, print_checks
from sentient.options import Json, read_settings
from sentient.signals import Stop
from tools.errors import ExitCode


def doctor_command(json: Json = False) -> None:
    """Check that this machine can run desktops, and say what to do if it cannot."""
    checks = Stop().run(examine(read_settings()))
    print_checks(checks, json=json)
    if not all(check.ok for check in checks):
        raise typer.Exit(ExitCode.ENVIRONMENT)
