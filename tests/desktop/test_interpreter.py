"""The code interpreter through the official SDK: Python, JavaScript and bash that keep their state.

One desktop for the whole file, because a kernel takes a while to start; every test has a context
of its own where it needs one.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from e2b import TimeoutException
from e2b_code_interpreter import AsyncSandbox
from e2b_code_interpreter.models import Context

needs_node = pytest.mark.skipif(not shutil.which("node", path="/usr/bin:/bin"), reason="no Node")


@pytest.fixture(scope="module")
async def box(server: Any, options_for: Any) -> AsyncIterator[AsyncSandbox]:
    made = await AsyncSandbox.create(envs={"WHOSE": "the desktop's"}, **options_for(server))
    yield made
    await made.kill()


@pytest.fixture
async def context(box: AsyncSandbox) -> AsyncIterator[Context]:
    made = await box.create_code_context()
    yield made
    await box.remove_code_context(made)


async def test_python_expression_last_is_the_main_result(box: AsyncSandbox) -> None:
    execution = await box.run_code("x = 'a text'; x")
    assert execution.text == "a text"
    assert execution.results[0].is_main_result


async def test_python_state_is_kept_and_executions_are_counted(
    box: AsyncSandbox, context: Context
) -> None:
    await box.run_code("x = 1", context=context)
    execution = await box.run_code("x + 1", context=context)
    assert (execution.text, execution.execution_count) == ("2", 2)


async def test_python_output_of_code_and_subprocesses_arrives_in_order(box: AsyncSandbox) -> None:
    code = "import os; print('one', flush=True); os.system('echo two'); print('three')"
    execution = await box.run_code(code)
    assert "".join(execution.logs.stdout) == "one\ntwo\nthree\n"


async def test_python_error_has_name_value_and_traceback(box: AsyncSandbox) -> None:
    error = (await box.run_code("def f(): 1 / 0\nf()")).error
    assert error is not None
    assert (error.name, error.value) == ("ZeroDivisionError", "division by zero")
    assert "line 1" in error.traceback


async def test_python_rich_results_come_under_their_own_names(box: AsyncSandbox) -> None:
    code = """
    from IPython.display import display
    display({'text/latex': 'L', 'text/html': '<b>', 'image/png': 'cG5n', 'x/y': 1}, raw=True)
    {'a': float('nan')}
    """
    first, second = (await box.run_code(code)).results
    assert (first.latex, first.html, first.png, first.extra) == ("L", "<b>", "cG5n", {"x/y": 1})
    assert second.json == {"a": None}


async def test_python_top_level_await_works_and_tasks_go_on(
    box: AsyncSandbox, context: Context
) -> None:
    code = "import asyncio; task = asyncio.ensure_future(asyncio.sleep(0, 'done'))"
    await box.run_code(code, context=context)
    assert (await box.run_code("await task", context=context)).text == "done"


async def test_variables_of_one_execution_end_with_it(box: AsyncSandbox) -> None:
    code = "import os; os.environ['WHOSE']"
    assert (await box.run_code(code, envs={"WHOSE": "mine"})).text == "mine"
    assert (await box.run_code(code)).text == "the desktop's"


async def test_contexts_are_isolated_listed_and_removed(box: AsyncSandbox) -> None:
    one = await box.create_code_context(cwd="/tmp")
    await box.run_code("only_here = 1", context=one)
    error = (await box.run_code("only_here")).error
    assert error is not None
    assert error.name == "NameError"
    assert (await box.run_code("import os; os.getcwd()", context=one)).text == "/tmp"
    assert (await box.list_code_contexts())[-1] == one
    await box.remove_code_context(one)
    assert one not in await box.list_code_contexts()


async def test_context_restart_forgets_the_state(box: AsyncSandbox, context: Context) -> None:
    await box.run_code("x = 1", context=context)
    await box.restart_code_context(context)
    execution = await box.run_code("x", context=context)
    assert execution.error is not None
    assert execution.execution_count == 1


async def test_kernel_that_dies_is_reported_and_started_again(
    box: AsyncSandbox, context: Context
) -> None:
    code = "print('last words'); import os; os.kill(os.getpid(), 9)"
    execution = await box.run_code(code, context=context)
    assert execution.logs.stdout == ["last words\n"]
    assert execution.error is not None
    assert execution.error.name == "ContextRestarting"
    assert "signal 9" in execution.error.value
    assert (await box.run_code("1 + 1", context=context)).text == "2"


@pytest.mark.parametrize("code", ["import time; time.sleep(60)", "while True: pass"])
async def test_timeout_interrupts_the_code_and_keeps_the_state(
    box: AsyncSandbox, context: Context, code: str
) -> None:
    await box.run_code("x = 'kept'", context=context)
    with pytest.raises(TimeoutException):
        await box.run_code(code, context=context, timeout=0.5)
    assert (await box.run_code("x", context=context)).text == "kept"


@pytest.mark.long
async def test_interrupt_that_is_ignored_costs_the_context_its_state(
    box: AsyncSandbox, context: Context
) -> None:
    code = "x = 1; import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    with pytest.raises(TimeoutException):
        await box.run_code(code, context=context, timeout=0.5)
    execution = await box.run_code("x", context=context)
    assert execution.error is not None
    assert execution.error.name == "NameError"


async def test_output_of_a_flood_arrives_whole(box: AsyncSandbox) -> None:
    execution = await box.run_code("for n in range(20000): print('x' * 99)")
    assert sum(map(len, execution.logs.stdout)) == 20000 * 100


async def test_result_beyond_the_limit_is_an_error_and_the_kernel_lives(box: AsyncSandbox) -> None:
    execution = await box.run_code("x = 7; 'y' * (17 << 20)")
    assert execution.error is not None
    assert execution.error.name == "ResultTooLarge"
    assert (await box.run_code("x")).text == "7"


@pytest.mark.parametrize(
    "line",
    [b"no json", b'{"event": "unknown"}', b"[" * 100_000, b'{"event": "result", "data": 1}'],
    ids=["text", "unknown", "deep", "result"],
)
async def test_kernel_that_talks_nonsense_is_replaced(
    box: AsyncSandbox, context: Context, line: bytes
) -> None:
    code = f"import os; os.write(4, {line!r} + b'\\n'); import time; time.sleep(60)"
    execution = await box.run_code(code, context=context)
    assert execution.error is not None
    assert execution.error.name == "ContextRestarting"
    assert (await box.run_code("1 + 1", context=context)).text == "2"


async def test_image_is_a_png_and_a_figure_has_its_chart(box: AsyncSandbox) -> None:
    code = """
    from PIL import Image
    import matplotlib.pyplot as plt
    plt.bar(['a', 'b'], [1, 2]); plt.title('Sales'); plt.show()
    Image.new('RGB', (2, 2))
    """
    chart, image = (await box.run_code(code)).results
    assert chart.png is not None
    assert chart.chart is not None
    assert chart.chart.title == "Sales"
    assert image.png is not None


async def test_data_frame_comes_as_data_without_nan(box: AsyncSandbox) -> None:
    code = "import pandas as pd; pd.DataFrame({'a': [1, float('nan')], 'b': pd.Timestamp('2020')})"
    execution = await box.run_code(code)
    assert execution.results[0].data == {"a": [1.0, None], "b": ["2020-01-01T00:00:00"] * 2}


async def test_desktop_killed_while_code_runs_is_told_from_a_dead_kernel(
    create: Any, options: dict[str, Any]
) -> None:
    made = await create("base")
    box = await AsyncSandbox.connect(made.sandbox_id, **options)
    running = asyncio.create_task(box.run_code("echo on; sleep 60", language="bash"))
    await asyncio.sleep(0.5)
    await box.kill()
    with pytest.raises(TimeoutException, match="was killed"):
        await running


async def test_bash_keeps_variables_folder_and_reports_the_status(box: AsyncSandbox) -> None:
    await box.run_code("cd /tmp; declare x=5", language="bash")
    execution = await box.run_code("echo $x $(pwd); echo bad >&2; false", language="bash")
    assert execution.logs.stdout == ["5 /tmp\n"]
    assert execution.logs.stderr == ["bad\n"]
    assert execution.error is not None
    assert execution.error.value == "1"


async def test_bash_variables_of_one_execution_are_quoted_and_restored(box: AsyncSandbox) -> None:
    value = "it's $HOME; echo no"
    code = 'echo "$WHOSE"'
    first = await box.run_code(code, language="bash", envs={"WHOSE": value})
    second = await box.run_code(code, language="bash")
    assert (first.logs.stdout, second.logs.stdout) == ([f"{value}\n"], ["the desktop's\n"])


async def test_bash_interrupt_ends_loops_and_keeps_the_shell(box: AsyncSandbox) -> None:
    await box.run_code("kept=yes; f() { while true; do sleep 0.05; done; }", language="bash")
    with pytest.raises(TimeoutException):
        await box.run_code("f; echo after", language="bash", timeout=0.5)
    assert (await box.run_code("echo $kept", language="bash")).logs.stdout == ["yes\n"]


@needs_node
async def test_javascript_awaits_imports_and_redeclares(box: AsyncSandbox) -> None:
    await box.run_code("const x = 1", language="js")
    code = "import { sep } from 'path'\nconst x = await Promise.resolve(sep); x"
    assert (await box.run_code(code, language="js")).text == "/"


@needs_node
async def test_javascript_output_errors_and_variables(box: AsyncSandbox) -> None:
    code = "console.log(process.env.A); console.error('bad'); throw new TypeError('no')"
    execution = await box.run_code(code, language="javascript", envs={"A": "b"})
    assert (execution.logs.stdout, execution.logs.stderr) == (["b\n"], ["bad\n"])
    assert execution.error is not None
    assert (execution.error.name, execution.error.value) == ("TypeError", "no")


@needs_node
@pytest.mark.parametrize("code", ["while (true) {}", "await new Promise(() => {})"])
async def test_javascript_interrupt_keeps_the_state(box: AsyncSandbox, code: str) -> None:
    await box.run_code("globalThis.kept = 'yes'", language="js")
    with pytest.raises(TimeoutException):
        await box.run_code(code, language="js", timeout=0.5)
    assert (await box.run_code("kept", language="js")).text == "yes"


def headers_of(box: AsyncSandbox, **more: str) -> dict[str, str]:
    return {"E2b-Sandbox-Id": box.sandbox_id, "E2b-Sandbox-Port": "49999", **more}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"code": 1}, 400),
        ({"code": "1", "language": "python", "context_id": "x"}, 400),
        ({"code": "1", "context_id": "x"}, 404),
        ({"code": "1", "language": "r"}, 501),
        ({"code": "1", "env_vars": {"a b": "c"}}, 400),
    ],
)
async def test_execute_refuses_what_it_cannot_do(
    box: AsyncSandbox, server: Any, body: dict[str, Any], status: int
) -> None:
    token = str(box._envd_access_token)
    async with httpx.AsyncClient(base_url=server.url) as client:
        headers = headers_of(box, **{"X-Access-Token": token})
        answer = await client.post("/execute", json=body, headers=headers)
    assert answer.status_code == status


async def test_execute_without_the_token_is_refused(box: AsyncSandbox, server: Any) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        answer = await client.post("/execute", json={"code": "1"}, headers=headers_of(box))
        health = await client.get("/health", headers=headers_of(box))
    assert (answer.status_code, health.json()) == (401, "OK")


async def test_silent_execution_is_kept_alive(box: AsyncSandbox, server: Any) -> None:
    body = {"code": "import time; time.sleep(5.5)"}
    headers = headers_of(box, **{"X-Access-Token": str(box._envd_access_token)})
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        answer = await client.post("/execute", json=body, headers=headers)
    kinds = [json.loads(line)["type"] for line in answer.text.splitlines()]
    assert kinds == ["number_of_executions", "keepalive", "end_of_execution"]


async def test_executions_of_one_context_wait_for_each_other(box: AsyncSandbox) -> None:
    await box.run_code("order = []")
    slow = box.run_code("import time; time.sleep(0.3); order.append('slow')")
    first = asyncio.create_task(slow)
    await asyncio.sleep(0.1)
    await box.run_code("order.append('quick')")
    await first
    assert (await box.run_code("','.join(order)")).text == "slow,quick"


async def test_restart_and_waiting_execution_start_one_kernel_together(
    box: AsyncSandbox,
) -> None:
    context = await box.create_code_context(language="bash")
    slow = asyncio.create_task(box.run_code("sleep 60", context=context))
    await asyncio.sleep(0.2)
    waiting = asyncio.create_task(box.run_code("echo $$", context=context))
    await asyncio.sleep(0.2)
    await box.restart_code_context(context)
    await asyncio.gather(slow, waiting)
    tags = [process.tag for process in await box.commands.list()]
    assert tags.count(f"context-{context.id}") == 1
    await box.remove_code_context(context)


async def test_context_removed_runs_nothing_that_waited(box: AsyncSandbox) -> None:
    context = await box.create_code_context(language="bash")
    slow = asyncio.create_task(box.run_code("sleep 60", context=context))
    await asyncio.sleep(0.2)
    waiting = asyncio.create_task(box.run_code("echo late", context=context))
    await asyncio.sleep(0.2)
    await box.remove_code_context(context)
    with pytest.raises(Exception, match="not found"):
        await waiting
    await slow
    tags = [process.tag for process in await box.commands.list()]
    assert f"context-{context.id}" not in tags


async def test_base_template_has_no_python_contexts_but_bash(
    create: Any, options: dict[str, Any]
) -> None:
    made = await create("base")
    box = await AsyncSandbox.connect(made.sandbox_id, **options)
    assert (await box.run_code("echo hi", language="bash")).logs.stdout == ["hi\n"]
    with pytest.raises(Exception, match="code-interpreter-v1"):
        await box.run_code("1")


async def test_paused_desktop_keeps_the_state_and_a_cold_boot_does_not(
    create: Any, options: dict[str, Any]
) -> None:
    made = await create("base")
    box = await AsyncSandbox.connect(made.sandbox_id, **options)
    await box.run_code("x=1", language="bash")
    await box.pause()
    await AsyncSandbox.connect(made.sandbox_id, **options)
    assert (await box.run_code("echo $x", language="bash")).logs.stdout == ["1\n"]
    box = await AsyncSandbox.create((await box.create_snapshot()).snapshot_id, **options)
    try:
        assert (await box.run_code("echo $x", language="bash")).logs.stdout == ["\n"]
    finally:
        await box.kill()
