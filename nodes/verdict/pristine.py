"""Desktops at base + patch, forked from the snapshot from before any coder worked."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from nodes.context import Step
from nodes.state import State
from nodes.testing import record_run, run_suite
from tools.desktop import Desktop
from tools.errors import NoResultError
from tools.patch import make_patch
from tools.results import TestRun


@dataclass(frozen=True)
class Pristine:
    """Forks with one patch, one after the other, and runs of the suite in them."""

    state: State
    step: Step
    patch: str
    digest: str
    """The patch's hash in the ledger."""
    own_tests: Sequence[str]
    """Test files that the patch adds."""

    @asynccontextmanager
    async def fork(self, *, masked: bool) -> AsyncIterator[Desktop]:
        """A desktop with the patch; one for a masked run does not have the patch's own tests."""
        async with self.step.pristine(self.state["base_snapshot"]) as desktop:
            removed = self.own_tests if masked else ()
            base = self.state["base"]["commit"]
            await make_patch(desktop, base, apply=self.patch, remove=removed)
            yield desktop

    async def run(
        self,
        desktop: Desktop,
        kind: str,
        *,
        masked: bool = False,
        only: Sequence[str] = (),
        lines: Mapping[str, Sequence[int]] | None = None,
        limit_s: float | None = None,
    ) -> TestRun:
        """Run the suite; a patch that makes it kill its own runner has a run without an end."""
        try:
            return await run_suite(
                self.state,
                self.step,
                desktop,
                kind,
                alone=True,
                masked=masked,
                only=only,
                traced=lines,
                limit_s=limit_s,
            )
        except NoResultError as error:
            return TestRun(log=str(error))

    async def record(self, run: TestRun, kind: str) -> str:
        """Write a run to the ledger and return its key."""
        where = {"snapshot": self.state["base_snapshot"], "patch": self.digest}
        summary = await record_run(self.step, run, kind, self.state["attempt"], **where)
        return summary["run"]
