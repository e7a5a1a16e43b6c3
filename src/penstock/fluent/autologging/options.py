"""What is logged of a fit, and how nothing of it gets in the way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger("penstock.tracking")


@dataclass(frozen=True)
class AutologOptions:
    """With MLflow's names and defaults; see `autolog`."""

    log_input_examples: bool = False
    log_model_signatures: bool = True
    log_models: bool = True
    log_datasets: bool = True
    exclusive: bool = False
    silent: bool = False
    max_tuning_runs: int | None = 5
    serialization_format: str | None = None
    registered_model_name: str | None = None
    pos_label: Any = None
    extra_tags: Mapping[str, Any] = field(default_factory=dict)

    def quietly(self, work: Callable[[], Any]) -> Any:
        """What it returns; None where it fails, which is a warning."""
        try:
            return work()
        except Exception as error:
            if not self.silent:
                log.warning("Autologging did not log all of a fit: %s", error)
            return None
