"""Files in, scored files out, by the same loaders as serving. No event loop, no HTTP."""

from penstock.scoring.job import Progress, ScoreSummary, score_file

__all__ = ["Progress", "ScoreSummary", "score_file"]
