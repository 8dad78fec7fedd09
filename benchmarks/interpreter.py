"""The code interpreter beside a bare Jupyter client talking to the same kind of kernel."""

import statistics

from jupyter_client.manager import KernelManager

from benchmarks.measure import Row, blocking, row, times_ms
from benchmarks.subject import Subject

FACTOR = 1.5


async def measure_interpreter(subject: Subject, repeats: int) -> list[Row]:
    """Measure ``run_code("x")`` on a kernel that is up."""
    limits = await _bare_kernel(repeats)
    async with subject.desktop("code-interpreter-v1") as desktop:
        await desktop.run_code("x = 1")
        runs = await times_ms(lambda: desktop.run_code("x"), repeats, warm_up=10)
    goal = min(5, FACTOR * statistics.median(limits))
    return [row('run_code("x")', runs, goal, limit="jupyter_client, ipc", limits=limits)]


async def _bare_kernel(repeats: int) -> list[float]:
    kernel = KernelManager(transport="ipc")
    kernel.start_kernel()
    client = kernel.blocking_client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=60)
        client.execute_interactive("x = 1")
        step = blocking(lambda: client.execute_interactive("x", output_hook=lambda _: None))
        return await times_ms(step, repeats, warm_up=10)
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
