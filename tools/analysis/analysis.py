"""The analysis of one git tree: made in steps that are kept, ranked and shown for each task."""

import asyncio
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from zipfile import BadZipFile

from pydantic import ValidationError

from tools.analysis.building import Builder
from tools.analysis.collecting import Listing, list_repository, parse, past_commits
from tools.analysis.corpus import TEST, Corpus
from tools.analysis.evidence import Commit, Evidence, Touched
from tools.analysis.facts import PARSER, Facts
from tools.analysis.maps import render
from tools.analysis.profile import MAINS, Profile, describe
from tools.analysis.ranking import Ranking, rank
from tools.analysis.spectrum import touched
from tools.results import TestRun

if TYPE_CHECKING:  # the SDK takes longer to import than a known analysis to read
    from tools.desktop import Desktop

FORMAT = 1
"""Raised when analyses are kept in another form, so that old ones are made anew."""

KEY = f"{PARSER}.{FORMAT}"


class Store(Protocol):
    """Where analyses are kept, by git tree, and facts, by git blob. Blocking."""

    def analysis(self, tree: str, version: str) -> Mapping[str, bytes] | None:
        """The parts of an analysis, or None."""

    def save_analysis(self, tree: str, version: str, parts: Mapping[str, bytes]) -> None:
        """Keep the parts of an analysis."""

    def facts(self, blobs: Iterable[str], version: int) -> dict[str, bytes]:
        """What is known of those of the blobs of which anything is known."""

    def save_facts(self, facts: Mapping[str, bytes], version: int) -> None:
        """Keep what is known of blobs."""


@dataclass
class Analysis:
    """What is known of a tree, whatever the task."""

    profile: Profile
    corpus: Corpus
    history: Sequence[Commit] = ()
    new: int = 0
    """Files that had to be parsed for it; none when the tree, or all its files, were known."""
    known: bool = True
    """Whether the whole analysis was found in the store."""

    def rank(self, evidence: Evidence) -> Ranking:
        """The files by how likely they are what the evidence is about."""
        return rank(self.corpus, evidence, self.history)

    def touched(self, run: TestRun) -> list[Touched]:
        """The files of the repository, tests apart, that a traced run's failing tests executed."""
        if run.executed is None:
            return []
        kinds = zip(self.corpus.paths, self.corpus.kinds, strict=True)
        known = {path for path, kind in kinds if kind != TEST}
        calls = {
            test: {place for place in places if place[0] in known}
            for test, places in run.executed.calls().items()
        }
        return touched(calls, run.failing, run.ids("passed"))

    def map(self, ranking: Ranking, *, tokens: int, first: Sequence[str] = ()) -> str:
        """The best files with their symbols and lines, `first` before all others.

        `tokens` bounds it, at three characters a token, which no common tokenizer exceeds on code.
        """
        return render(self.corpus, ranking, tokens=tokens, first=first)

    def summary(self) -> str:
        """One line for people."""
        return self.profile.summary()


def known_analysis(store: Store, tree: str) -> Analysis | None:
    """The analysis of a tree that was analysed before."""
    parts = store.analysis(tree, KEY)
    if parts is None:
        return None
    try:
        history = [Commit(title, files) for title, files in json.loads(parts["history"])]
        profile = Profile.model_validate_json(parts["profile"])
        return Analysis(profile, Corpus.from_bytes(parts["corpus"]), history)
    except (ValueError, KeyError, BadZipFile):
        return None


async def analyze_repository(desktop: "Desktop", store: Store, tree: str, cache: Path) -> Analysis:
    """Analyse `REPO`, which is at git tree `tree`, in its desktop; only files new to the store.

    `cache` is a folder for what parsing needs on desktops unlike this machine.

    Raises:
        EnvironmentFaultError: the desktop gives no usable answer.
    """
    listing = await list_repository(desktop)
    sources = list(listing.sources)
    kept = await asyncio.to_thread(store.facts, [blob for _, blob in sources], PARSER)
    wanted = {blob: path for path, blob in sources if blob not in kept}
    fresh: dict[str, bytes] = {}
    if wanted:
        files = [(path, blob) for blob, path in wanted.items()]
        fresh = await parse(desktop, listing, files, cache)
    analysis = await asyncio.to_thread(_put_together, listing, sources, kept, fresh)
    analysis.history = await past_commits(desktop)
    await asyncio.to_thread(_keep, store, tree, analysis, fresh)
    return analysis


def _keep(store: Store, tree: str, analysis: Analysis, fresh: Mapping[str, bytes]) -> None:
    store.save_facts({blob: zlib.compress(line, 1) for blob, line in fresh.items()}, PARSER)
    history = json.dumps([[commit.title, list(commit.files)] for commit in analysis.history])
    parts = {
        "profile": analysis.profile.model_dump_json().encode(),
        "corpus": analysis.corpus.to_bytes(),
        "history": history.encode(),
    }
    store.save_analysis(tree, KEY, parts)


def _put_together(
    listing: Listing,
    sources: Sequence[tuple[str, str]],
    kept: Mapping[str, bytes],
    fresh: dict[str, bytes],
) -> Analysis:
    """Build the corpus in the order of paths; drop from `fresh` what is no facts."""
    builder, lines, mains, taken = Builder(), Counter[str](), [], 0
    for path, blob in sources:
        try:
            data = fresh.get(blob) or zlib.decompress(kept[blob])
            found = Facts.model_validate_json(data)
        except (KeyError, zlib.error, ValidationError):
            fresh.pop(blob, None)
            continue
        builder.add(path, found)
        lines[found.language] += found.lines
        taken += 1
        if found.language in MAINS and any(
            d[0].rpartition(".")[2] == "main" for d in found.definitions
        ):
            mains.append(path)
    profile = describe(
        [path for path, _, _ in listing.files], listing.manifests, lines, mains,
        parsed=taken, unparsed=len(sources) - taken,
    )  # fmt: skip
    return Analysis(profile, builder.corpus(), new=len(fresh), known=False)
