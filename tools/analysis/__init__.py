"""Repository analysis: parsed in the desktop, kept by content, ranked for each task."""

from tools.analysis.analysis import Analysis, analyze_repository, known_analysis
from tools.analysis.evidence import Evidence, FailingTest, Touched, failing_test
from tools.analysis.maps import MAP_TOKENS
from tools.analysis.ranking import Ranking
from tools.analysis.spectrum import contrast

__all__ = [
    "MAP_TOKENS",
    "Analysis",
    "Evidence",
    "FailingTest",
    "Ranking",
    "Touched",
    "analyze_repository",
    "contrast",
    "failing_test",
    "known_analysis",
]
