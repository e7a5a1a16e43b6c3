"""Files in, scored files out, by the same loaders as serving. No event loop, no HTTP.

`plan` says what will be done, `reading` gives chunks, `decoding` and `scorer` make answers of them, `workers` does
that in parallel, `sinks` and `writing` put them away, `commit` remembers what is done, `job` runs it all.
"""

from penstock.scoring.finish import Finished, finish
from penstock.scoring.job import PreparedJob, Summary, prepare, run
from penstock.scoring.job_options import JobControl, JobOptions, JobOutput, Progress
from penstock.scoring.plan import JobLineage, ScoringOptions, ScoringPlan, Shard, Source, parse_shard
from penstock.scoring.read.inputs import find_sources
from penstock.scoring.rejects import Reject, Tolerance, parse_tolerance

__all__ = [
    "Finished",
    "JobControl",
    "JobLineage",
    "JobOptions",
    "JobOutput",
    "PreparedJob",
    "Progress",
    "Reject",
    "ScoringOptions",
    "ScoringPlan",
    "Shard",
    "Source",
    "Summary",
    "Tolerance",
    "find_sources",
    "finish",
    "parse_shard",
    "parse_tolerance",
    "prepare",
    "run",
]
