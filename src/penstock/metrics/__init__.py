"""Every metric, declared once. The only files that import prometheus_client.

Labels are bounded: `model` and `version` come from loaded servables, never from a URL; requests that reached no model
carry empty ones. What changes with every request is counted in plain objects (`numbers`).
"""

from penstock.metrics.fast_path import FAST_PATH_DECLINES
from penstock.metrics.hub import HUB_REFUSALS, HubMetrics
from penstock.metrics.numbers import Distribution, Number, Reading
from penstock.metrics.process import ACCESS_REFUSALS, CONTENT_TYPE, LOAD_STAGES, SWAPS, TRIAL_OUTCOMES, Metrics, render
from penstock.metrics.versions import (
    DISPATCH_REASONS,
    FAMILIES,
    LIMITS,
    OUTCOMES,
    PROCESS_STATES,
    PROTOCOLS,
    STAGES,
    VersionMetrics,
)
from penstock.metrics.workers import HubSupervisorMetrics, SupervisorCounts

__all__ = [
    "ACCESS_REFUSALS",
    "CONTENT_TYPE",
    "DISPATCH_REASONS",
    "FAMILIES",
    "FAST_PATH_DECLINES",
    "HUB_REFUSALS",
    "LIMITS",
    "LOAD_STAGES",
    "OUTCOMES",
    "PROCESS_STATES",
    "PROTOCOLS",
    "STAGES",
    "SWAPS",
    "TRIAL_OUTCOMES",
    "Distribution",
    "HubMetrics",
    "HubSupervisorMetrics",
    "Metrics",
    "Number",
    "Reading",
    "SupervisorCounts",
    "VersionMetrics",
    "render",
]
