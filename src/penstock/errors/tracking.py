"""Errors of tracking stores."""

from __future__ import annotations

from penstock.errors.root import PenstockError, Remedy


class TrackingError(PenstockError):
    """`error_code` is MLflow's word for it, empty where it has none."""

    code = "tracking"
    error_code = ""


class TrackingInvalid(TrackingError):
    """`field` is the one of the request that is at fault, empty where it is none alone."""

    code = "tracking_invalid"
    error_code = "INVALID_PARAMETER_VALUE"

    def __init__(self, message: str, *, hint: str = "", field: str = "", remedy: Remedy | None = None) -> None:
        super().__init__(message, hint=hint, remedy=remedy)
        self.field = field


class TrackingUnavailable(TrackingError):
    """No tracking server answers, or it cannot do so now: what was asked may be asked again. `retry_after` is in
    seconds, None where the server did not say; `status` is HTTP's, 0 where there was no answer."""

    code = "tracking_unavailable"

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None, status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        self.status = status


class TrackingRefused(TrackingError):
    """A tracking server understood a request and said no. `status` is HTTP's, `error_code` is MLflow's word."""

    code = "tracking_refused"

    def __init__(self, message: str, *, hint: str = "", status: int = 400, error_code: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.error_code = error_code


class TrackingStateInvalid(TrackingError):
    code = "tracking_state_invalid"


class RunNotActive(TrackingStateInvalid):
    code = "run_not_active"


class ParamChanged(TrackingError):
    code = "param_changed"


class ExperimentExists(TrackingError):
    code = "experiment_exists"


class ExperimentNotFound(TrackingError):
    code = "experiment_not_found"


class RunExists(TrackingError):
    code = "run_exists"


class RunNotFound(TrackingError):
    code = "run_not_found"


class LoggedModelNotFound(TrackingError):
    code = "logged_model_not_found"


class TagNotFound(TrackingError):
    code = "tag_not_found"


class ArtifactNotFound(TrackingError):
    code = "artifact_not_found"


class ArtifactRegistered(TrackingError):
    """A registered version has the files, which therefore stay as they are."""

    code = "artifact_registered"


class ImportFailed(TrackingError):
    """What is imported from cannot be read, or would clash with what the store holds."""

    code = "import_failed"
