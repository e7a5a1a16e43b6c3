"""How each write that is made on its own is made: one function for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from penstock.tracking import writes
from penstock.tracking.sql import experiments, inputs, logged_models, run_writes
from penstock.tracking.sql.keys import Keys


@dataclass(frozen=True, slots=True)
class Transaction:
    """What a write is given: the connection, the keys of this commit, and the URI of the artifact root."""

    c: Connection
    keys: Keys
    artifact_root: str


SINGLE_WRITES: Mapping[type[writes.Write[Any]], Callable[[Transaction, Any], Any]] = {
    writes.CreateExperiment: lambda t, change: experiments.create_experiment(t.c, t.artifact_root, change),
    writes.RenameExperiment: lambda t, change: experiments.rename_experiment(t.c, change),
    writes.DeleteExperiment: lambda t, change: experiments.set_experiment_deleted(t.c, t.keys, change),
    writes.RestoreExperiment: lambda t, change: experiments.set_experiment_deleted(t.c, t.keys, change),
    writes.SetExperimentTag: lambda t, change: experiments.set_experiment_tag(t.c, change),
    writes.DeleteExperimentTag: lambda t, change: experiments.delete_experiment_tag(t.c, change),
    writes.DeleteRun: lambda t, change: run_writes.set_run_deleted(t.c, t.keys, change),
    writes.RestoreRun: lambda t, change: run_writes.set_run_deleted(t.c, t.keys, change),
    writes.DeleteTag: lambda t, change: run_writes.delete_tag(t.c, t.keys, change),
    writes.LogInputs: lambda t, change: inputs.log_inputs(t.c, t.keys, change),
    writes.LogOutputs: lambda t, change: inputs.log_outputs(t.c, t.keys, change),
    writes.CreateLoggedModel: lambda t, change: logged_models.create_logged_model(t.c, change),
    writes.FinalizeLoggedModel: lambda t, change: logged_models.finalize_logged_model(t.c, change),
    writes.SetLoggedModelTags: lambda t, change: logged_models.set_logged_model_tags(t.c, change),
    writes.DeleteLoggedModelTag: lambda t, change: logged_models.delete_logged_model_tag(t.c, change),
    writes.LogLoggedModelParams: lambda t, change: logged_models.log_logged_model_params(t.c, change),
    writes.DeleteLoggedModel: lambda t, change: logged_models.delete_logged_model(t.c, change),
}
