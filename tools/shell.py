"""The shell tool: any command in the repository, output capped where it arises."""

from tools.desktop import Desktop
from tools.layout import CONTROL, REPO

SHOWN = 6000
"""Characters of output that are returned: half from the beginning, half from the end."""

TIMEOUT_S = 120.0


async def run_shell(
    desktop: Desktop, command: str, *, call_id: str, timeout_s: float = TIMEOUT_S
) -> str:
    """Run `command` with bash in `REPO`; the whole output stays in the desktop, by `call_id`."""
    script, log = f"{CONTROL}/shell/{call_id}.sh", f"{CONTROL}/shell/{call_id}.log"
    await desktop.fs.write_file(script, command + "\n")
    execution = await desktop.exec(
        f"bash {script} > {log} 2>&1 < /dev/null",
        cwd=REPO,
        timeout_s=timeout_s,
        env={"PYTHONDONTWRITEBYTECODE": "1", "PAGER": "cat"},
    )
    shown = await desktop.exec(_excerpt(log))
    end = f"no end after {timeout_s:g} s, killed" if execution.timed_out else ""
    return f"{shown.stdout}\n[{end or f'exit code {execution.exit_code}'}]"


def _excerpt(log: str) -> str:
    """A command that prints a short log whole and a long one without its middle."""
    half = SHOWN // 2
    return (
        f'size=$(stat -c %s {log}); if [ "$size" -le {SHOWN} ]; then cat {log}; '
        f"else head -c {half} {log}; echo; "
        f'echo "[... $((size - {SHOWN})) bytes left out; all of it is in {log} ...]"; '
        f"tail -c {half} {log}; fi"
    )
