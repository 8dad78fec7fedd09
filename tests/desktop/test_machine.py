"""Any sequence of changes, pauses, snapshots, restores and forks, compared with a model.

A sequence has at least CYCLES of them. After each, everything below one folder must be what the
model says, and what it was before: content, mode, target, attributes, and time of the last change.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from stat import S_IFDIR
from typing import Any, ClassVar

import httpx
import pytest
from e2b import Sandbox
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from tree_client import ROOT, TreeDesktop
from tree_model import Change, Listing, Refused, Tree

from sentient_desktop import Endpoint

CYCLES = 5
LINEAGE = 20
"""Sequences after which a fresh desktop is taken; until then they share one and its layers."""

SHORT = 8

NAMES = ("a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "x", "x/a", "x/b", "x/e", "x/e/a", "x/e/f")
FOLDERS = ("d", "d/e", "x", "x/e", "x/e/f", "b")
START: list[Change] = [
    *(["mkdir", path] for path in ("d", "d/e", "x")),
    *(["write", path, path * 3] for path in ("a", "d/a", "d/e/a", "x/a")),
    ["setxattr", "d/a", "user.a", "v"],
    ["link", "d/a", "x/b"],
]
"""So that no sequence begins with nothing to change."""

names, folders = st.sampled_from(NAMES), st.sampled_from(FOLDERS)
texts = st.one_of(
    st.text("abc\n", max_size=6),
    st.builds(lambda letter, size: letter * size, st.sampled_from("yz"), st.integers(1, 70_000)),
)
few = st.text("pqr", min_size=1, max_size=3)
offsets = st.sampled_from((0, 1, 3, 4095, 8192, 100_000))
attributes = st.sampled_from(("user.a", "user.b"))
ARGUMENTS: dict[str, tuple[st.SearchStrategy[Any], ...]] = {
    "write": (texts,),
    "append": (texts,),
    "truncate": (st.sampled_from((0, 1, 5000)),),
    "poke": (offsets, few),
    "sparse": (offsets, texts),
    "rename": (names,),
    "unlink": (),
    "rmtree": (),
    "rmdir": (),
    "mkdir": (),
    "mkfifo": (),
    "chmod": (st.sampled_from((0o700, 0o755, 0o1777, 0o640, 0o600)),),
    "utime": (st.integers(10**9, 2 * 10**18),),
    "setxattr": (attributes, st.text("vw", max_size=3)),
    "removexattr": (attributes,),
    "symlink": (st.sampled_from(("nowhere", "../nowhere/else")),),
    "link": (names,),
    "hold": (),
    "held_write": (offsets, texts),
    "held_map": (offsets, few),
}
"""What follows the path of each change."""

OF_FOLDERS = {"rmtree", "rmdir", "mkdir", "rename"}
kinds = st.sampled_from(
    [*ARGUMENTS, "write", "write", "mkdir", "rename", "rename", "poke", "rmtree"]
)


def draw_change(data: st.DataObject, tree: Tree) -> Change:
    """Draw a change that is probably possible: most of its kind's paths exist."""
    kind = data.draw(kinds)
    wants_folder = kind in OF_FOLDERS and data.draw(st.booleans())
    path = data.draw(folders if wants_folder else names)
    is_folder = {path: node.kind == S_IFDIR for path, node in tree.walk()}
    there = [path for path in is_folder if is_folder[path] == wants_folder]
    if kind not in ("mkdir", "mkfifo", "symlink", "write") and there:
        path = data.draw(st.sampled_from(sorted(there)))
    if kind == "chmod" and is_folder.get(path):
        return [kind, path, 0o755]  # one that its owner may not enter could not be described
    return [kind, path, *(data.draw(strategy) for strategy in ARGUMENTS[kind])]


cycles = st.sampled_from(
    ["pause"] * 6 + ["snapshot"] * 6 + ["restore"] * 3 + ["reboot", "fork", "discard"]
)


class Machine(RuleBasedStateMachine):
    """One sequence. The desktop may have served others before; the folder is empty at first."""

    options: ClassVar[dict[str, Any]]
    http: ClassVar[httpx.Client]
    spare: ClassVar[TreeDesktop | None] = None
    uses: ClassVar[int] = 0
    performed: ClassVar[dict[str, int]] = {}

    def __init__(self) -> None:
        super().__init__()
        kind = type(self)
        if kind.spare is None:
            sandbox = Sandbox.create("base", timeout=3600, **self.options)
            kind.spare, kind.uses = TreeDesktop(sandbox, self.http), 0
            kind.spare.start()
        self.desktop, kind.spare = kind.spare, None
        self.tree = Tree()
        self.seen: Listing | None = {}
        self.snapshots: list[tuple[str, Tree, Listing]] = []
        self.cycles = 0
        self.exchange(START)

    def count(self, what: str) -> None:
        self.performed[what] = self.performed.get(what, 0) + 1

    @rule(data=st.data(), size=st.integers(2, 10))
    def edit(self, data: st.DataObject, size: int) -> None:
        guess = deepcopy(self.tree)
        batch = []
        for _ in range(size):
            batch.append(draw_change(data, guess))
            with suppress(Refused):
                guess.apply(batch[-1], "renamed")
        self.exchange(batch)

    @rule(name=names, text=texts)
    def upload(self, name: str, text: str) -> None:
        """Write a file through the API, where that needs no guess."""
        self.exchange([])
        try:
            folder, last = self.tree._folder_of(name)
        except Refused:
            return
        node = folder.children.get(last)
        shared = node is not None and sum(n is node for _, n in self.tree.walk()) > 1
        if shared or node is self.tree.held is not None:
            return
        if node is None or node.data:
            self.desktop.sandbox.files.write(f"{ROOT}/{name}", text)
            self.tree.apply(["write", name, text], "")
            self.seen = None
            self.count("upload")

    @rule(kind=cycles, which=st.integers(0, 7))
    def cycle(self, kind: str, which: int) -> None:
        self.exchange([])
        if kind in ("restore", "discard") and not self.snapshots:
            kind = "snapshot"
        getattr(self, f"_{kind}")(which)
        self.count(kind)
        self.cycles += kind != "discard"

    def exchange(self, changes: list[Change]) -> None:
        """Compare the folder with the model, change both, compare again."""
        reply = self.desktop.exchange(changes)
        self.compare(reply["before"], "before the changes")
        if self.seen is not None:
            assert reply["before"] == self.seen
        self.seen = reply["after"] if changes else reply["before"]
        for change, result in zip(changes, reply.get("results", ()), strict=True):
            failed = result not in ("done", "renamed", "copied")
            try:
                self.tree.apply(change, result)
            except Refused:
                assert failed, f"{change} should have failed"
                self.count("refused")
            else:
                assert not failed, f"{change}: {result}"
                self.count(change[0])
        self.compare(self.seen, f"after {changes}")

    def compare(self, listing: Listing, when: str) -> None:
        assert not (found := self.tree.differences(listing)), f"{when}: {found}"

    def _pause(self, _which: int) -> None:
        assert self.desktop.sandbox.pause()
        self.desktop.sandbox.connect(timeout=3600)

    def _reboot(self, _which: int) -> None:
        assert self.desktop.sandbox.pause(mode="filesystem")
        self.desktop.sandbox.connect(timeout=3600)
        self.desktop.start()
        self.tree.held = None

    def _snapshot(self, _which: int) -> None:
        info = self.desktop.sandbox.create_snapshot(mode="filesystem")
        assert self.seen is not None
        self.snapshots.append((info.snapshot_id, self.tree.on_layers(), self.seen))

    def _restore(self, which: int) -> None:
        """Go on from any snapshot; its desktop ends first or last."""
        snapshot, tree, seen = self.snapshots[which % len(self.snapshots)]
        if which % 2:
            self.desktop.sandbox.kill()
        sandbox = Sandbox.create(snapshot, timeout=3600, **self.options)
        if not which % 2:
            self.desktop.sandbox.kill()
        self.desktop = TreeDesktop(sandbox, self.http)
        self.desktop.start()
        self.tree, self.seen = tree.on_layers(), seen

    def _fork(self, which: int) -> None:
        """Go on in the fork or in its parent."""
        (fork,) = self.desktop.sandbox.fork(timeout=3600)
        assert isinstance(fork, Sandbox), fork
        if which % 2:
            fork.kill()
            return
        self.desktop.sandbox.kill()
        self.desktop = TreeDesktop(fork, self.http)
        self.desktop.start()
        self.tree = self.tree.on_layers()

    def _discard(self, which: int) -> None:
        """Delete a snapshot; those that share its layers must not notice."""
        snapshot, _, _ = self.snapshots.pop(which % len(self.snapshots))
        assert Sandbox.delete_snapshot(snapshot, **self.options)

    def teardown(self) -> None:
        kind = type(self)
        try:
            while self.cycles < CYCLES:
                self.cycle(("snapshot", "pause", "restore")[self.cycles % 3], self.cycles)
            self.exchange([])
            for snapshot, _, _ in self.snapshots:
                assert Sandbox.delete_snapshot(snapshot, **self.options)
            changes = [["release", ""]]
            for name, node in self.tree.root.children.items():
                changes.append(["rmtree" if node.children else "unlink", name])
                if not node.children and node.kind == 0o040000:
                    changes[-1][0] = "rmdir"
            assert self.desktop.exchange(changes)["after"] == {}
        except BaseException:
            self.desktop.sandbox.kill()
            raise
        kind.uses += 1
        if kind.uses < LINEAGE:
            kind.spare = self.desktop
        else:
            self.desktop.sandbox.kill()
        self.count("sequences")


@pytest.fixture
def machine(options: dict[str, Any], server: Endpoint) -> Iterator[type[Machine]]:
    """The machine on the tests' server; counts anew."""

    class Here(Machine):
        pass

    with httpx.Client(base_url=server.url) as http:
        Here.options, Here.http, Here.performed = options, http, {}
        yield Here
        if Here.spare is not None:
            Here.spare.sandbox.kill()


def run(machine: type[Machine], sequences: int, *, derandomize: bool = True) -> None:
    choices = settings(
        max_examples=sequences,
        stateful_step_count=16,
        deadline=None,
        database=None,
        derandomize=derandomize,
        phases=(Phase.generate, Phase.shrink)[: 1 + ("MACHINE_SHRINK" in os.environ)],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=choices)


def test_sequences_of_changes_and_cycles_agree_with_the_model(machine: type[Machine]) -> None:
    run(machine, SHORT)
    done = machine.performed
    assert done["sequences"] >= SHORT
    for what in ("pause", "snapshot", "restore", "write", "rename", "rmtree", "mkdir", "setxattr"):
        assert done.get(what), done
