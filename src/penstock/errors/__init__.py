"""Every error that Penstock raises on purpose, in one tree.

PenstockError
├── ConfigError                 a setting, flag or file of settings that cannot be used
├── PackageError                something is wrong with a packaged model
│   ├── PackageNotFound         no such directory
│   ├── PackageInvalid          not a package, or its manifest cannot be read
│   ├── PackageExists           the place to write to is taken
│   ├── SealBroken              a file differs from SHA256SUMS
│   ├── ArtifactInvalid         the model file is damaged or of another kind
│   ├── CodeNotTrusted          loading would run the package's code, and nobody allowed that
│   ├── CodeConflict            its module names are already taken by another package's code
│   ├── FlavorUnknown           no loader for what is inside
│   ├── FlavorConflict          several plug-ins claim the same packages or objects
│   ├── DependencyMissing       a library that the model, or this use, needs is not installed
│   │   └── CodeMissing         a module, or a name in one, that the model's files refer to is not here
│   ├── EnvironmentMismatch     the installed libraries differ, and --strict-env was asked for
│   ├── EnvironmentUnbuildable  the environment that it asks for cannot be made here
│   ├── ProofFailed             the loaded model does not repeat its recorded answers
│   ├── CacheUnusable           a downloaded package cannot be kept on this machine
│   └── PackagingFailed         a package cannot be made of what was given
├── RegistryError               something is wrong with a registry or a request to it
│   ├── NameInvalid             a model, version, alias or tag name that is not allowed
│   ├── ModelNotFound
│   ├── ModelExists             another model has the name
│   ├── VersionNotFound
│   ├── AliasNotFound
│   ├── AliasMoved              somebody else moved it in the same moment
│   ├── TokenExists             a token has or had the name
│   ├── TokenNotFound
│   ├── VersionInUse            an alias names the version that should go
│   ├── VersionPending          its files are being read still: it can be promoted soon
│   ├── SignatureIncompatible   the version would break the callers of the one it replaces
│   ├── NothingToRollBack       the alias has no earlier version
│   ├── RegistryReadOnly
│   ├── RegistryDenied          it refuses our credentials, or wants some
│   ├── RegistryRefused         its server understood a request and said no
│   ├── RegistryUnavailable     unreachable, or answering garbage
│   │   ├── RegistryNotFound    there is none at that place, so waiting for it would not help
│   │   └── RegistryFull        there is no room for what should be written; reading goes on
│   ├── BackupNotFound          there is none at that place, or none of that name
│   ├── BackupBroken            a backup that is damaged, or of another release's format
│   ├── StoreNotEmpty           a backup is restored into an empty store alone
│   ├── RegistryOutdated        its tables are of another release: run the migration
│   └── Unsupported             this kind of registry cannot do that
├── TrackingError               something is wrong with a request to a tracking store
│   ├── TrackingInvalid         a name, value or combination that is not allowed; carries the field
│   ├── TrackingUnavailable     no server answers, or not now: asking again may help
│   ├── TrackingRefused         a server understood a request and said no
│   ├── TrackingStateInvalid    what is deleted or active cannot be changed in that way
│   │   └── RunNotActive        the run is deleted, and nothing can be logged to it
│   ├── ParamChanged            the param has another value already
│   ├── ExperimentExists        another experiment has the name, perhaps a deleted one
│   ├── ExperimentNotFound
│   ├── RunExists               a run has the id that was asked for
│   ├── RunNotFound
│   ├── LoggedModelNotFound
│   ├── ArtifactNotFound        no file at that path
│   ├── ArtifactRegistered      a file of a registered version, which stays as it is
│   ├── TagNotFound
│   └── ImportFailed            what is imported from cannot be read, or clashes with what the store holds
├── SearchInvalid               a filter, an order or a page token that cannot be read; carries the field and the column
├── InputError                  the caller's data
│   ├── MalformedInput          bytes that cannot be read as what they claim to be
│   ├── UnsupportedMedia        a content type or encoding that nobody here reads
│   ├── InputTooLarge           more bytes than the limit
│   ├── InputTooSlow            the caller's time ran out before its body was there
│   └── SchemaViolation         rows that do not fit the signature; carries the violations
├── ServingError                the gateway cannot answer now, or not for this name
│   ├── ModelNotServed
│   ├── ModelLoading            served here, but not loaded yet
│   ├── Overloaded              a limit is reached: try again later
│   ├── DeadlineExceeded        the caller's time ran out
│   ├── WorkerLost              a worker process ended where it should have gone on
│   ├── ModelProcessLost        the process that a model runs in ended, hangs, or makes no sense
│   └── Closing                 the model or the gateway is being shut down
├── GatewayError                a gateway refused, failed or could not be asked; carries status and request id
│   ├── RequestRefused          rows or params that it cannot use, or that the model failed on; carries the violations
│   ├── GatewayDenied           it wants a token, or one that may do this
│   ├── ModelUnknown            it serves no such model, or has no such path
│   ├── GatewayBusy             at a limit, loading or draining, to the end of our patience
│   ├── GatewayTimeout          the deadline has passed
│   ├── GatewayFault            it failed, or answered what makes no sense
│   └── GatewayUnreachable      no connection, or one that was lost
├── PredictError                the model's own code failed on these rows
├── AnswerUnserializable        the model answered something that the protocol has no form for
│   └── AnswerHasNoColumns      it is not one item for each row, and columns were asked for
│       └── CellHasNoForm       one of its cells is of a kind that tables have no form for
└── ScoringError                a file could not be scored
    ├── SchemaMismatch          it lacks columns that the model takes or that are to be kept
    ├── JobDiffers              a job of another fingerprint has begun in the output
    ├── TooManyRejects          more rows were rejected than the job bears
    └── Interrupted             stopped on request, with what is complete kept

`code` is stable: clients and dashboards may depend on it. `hint` says what to do, in words that fit every caller: it
names settings, never flags or commands. Where the command line has a command for it, `remedy` says which, by a key
that `cli/remedies.py` has the words for. Which HTTP status an error becomes is decided in `server/statuses.py`, nowhere
else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from penstock.errors.gateway import GatewayBusy as GatewayBusy
from penstock.errors.gateway import GatewayDenied as GatewayDenied
from penstock.errors.gateway import GatewayError as GatewayError
from penstock.errors.gateway import GatewayFault as GatewayFault
from penstock.errors.gateway import GatewayTimeout as GatewayTimeout
from penstock.errors.gateway import GatewayUnreachable as GatewayUnreachable
from penstock.errors.gateway import ModelUnknown as ModelUnknown
from penstock.errors.gateway import RequestRefused as RequestRefused
from penstock.errors.registry import AliasMoved as AliasMoved
from penstock.errors.registry import AliasNotFound as AliasNotFound
from penstock.errors.registry import BackupBroken as BackupBroken
from penstock.errors.registry import BackupNotFound as BackupNotFound
from penstock.errors.registry import ModelExists as ModelExists
from penstock.errors.registry import ModelNotFound as ModelNotFound
from penstock.errors.registry import NameInvalid as NameInvalid
from penstock.errors.registry import NothingToRollBack as NothingToRollBack
from penstock.errors.registry import RegistryDenied as RegistryDenied
from penstock.errors.registry import RegistryError as RegistryError
from penstock.errors.registry import RegistryFull as RegistryFull
from penstock.errors.registry import RegistryNotFound as RegistryNotFound
from penstock.errors.registry import RegistryOutdated as RegistryOutdated
from penstock.errors.registry import RegistryReadOnly as RegistryReadOnly
from penstock.errors.registry import RegistryRefused as RegistryRefused
from penstock.errors.registry import RegistryUnavailable as RegistryUnavailable
from penstock.errors.registry import SignatureIncompatible as SignatureIncompatible
from penstock.errors.registry import StoreNotEmpty as StoreNotEmpty
from penstock.errors.registry import TokenExists as TokenExists
from penstock.errors.registry import TokenNotFound as TokenNotFound
from penstock.errors.registry import Unsupported as Unsupported
from penstock.errors.registry import VersionInUse as VersionInUse
from penstock.errors.registry import VersionNotFound as VersionNotFound
from penstock.errors.registry import VersionPending as VersionPending
from penstock.errors.root import PenstockError as PenstockError
from penstock.errors.root import Remedy as Remedy
from penstock.errors.root import remedy as remedy
from penstock.errors.search import SearchInvalid as SearchInvalid
from penstock.errors.tracking import ArtifactNotFound as ArtifactNotFound
from penstock.errors.tracking import ArtifactRegistered as ArtifactRegistered
from penstock.errors.tracking import ExperimentExists as ExperimentExists
from penstock.errors.tracking import ExperimentNotFound as ExperimentNotFound
from penstock.errors.tracking import ImportFailed as ImportFailed
from penstock.errors.tracking import LoggedModelNotFound as LoggedModelNotFound
from penstock.errors.tracking import ParamChanged as ParamChanged
from penstock.errors.tracking import RunExists as RunExists
from penstock.errors.tracking import RunNotActive as RunNotActive
from penstock.errors.tracking import RunNotFound as RunNotFound
from penstock.errors.tracking import TagNotFound as TagNotFound
from penstock.errors.tracking import TrackingError as TrackingError
from penstock.errors.tracking import TrackingInvalid as TrackingInvalid
from penstock.errors.tracking import TrackingRefused as TrackingRefused
from penstock.errors.tracking import TrackingStateInvalid as TrackingStateInvalid
from penstock.errors.tracking import TrackingUnavailable as TrackingUnavailable

if TYPE_CHECKING:
    from penstock.payload import Violation


class ConfigError(PenstockError):
    code = "config"


class PackageError(PenstockError):
    code = "package"


class PackageNotFound(PackageError):
    code = "package_not_found"


class PackageInvalid(PackageError):
    code = "package_invalid"


class PackageExists(PackageError):
    code = "package_exists"


class SealBroken(PackageError):
    code = "seal_broken"


class ArtifactInvalid(PackageError):
    code = "artifact_invalid"


class CodeNotTrusted(PackageError):
    code = "code_not_trusted"


class CodeConflict(PackageError):
    code = "code_conflict"


class FlavorUnknown(PackageError):
    code = "flavor_unknown"


class FlavorConflict(PackageError):
    code = "flavor_conflict"


class DependencyMissing(PackageError):
    code = "dependency_missing"


class CodeMissing(DependencyMissing):
    """Its remedy names the `module` and, where only that is missing, the `name` in it."""

    code = "code_missing"


class EnvironmentMismatch(PackageError):
    code = "environment_mismatch"


class EnvironmentUnbuildable(PackageError):
    code = "environment_unbuildable"


class ProofFailed(PackageError):
    code = "proof_failed"


class CacheUnusable(PackageError):
    code = "cache_unusable"


class PackagingFailed(PackageError):
    code = "packaging_failed"


class InputError(PenstockError):
    code = "input"


class MalformedInput(InputError):
    code = "malformed_input"


class UnsupportedMedia(InputError):
    code = "unsupported_media"


class InputTooLarge(InputError):
    code = "input_too_large"


class InputTooSlow(InputError):
    code = "input_too_slow"


class SchemaViolation(InputError):
    """Rows that do not fit. `violations` lists them by row and column; the message shows the first few."""

    code = "schema_violation"
    SHOWN: ClassVar[int] = 5

    def __init__(self, violations: Sequence[Violation], *, hint: str = "") -> None:
        self.violations = tuple(violations)
        shown = "; ".join(str(v) for v in self.violations[: self.SHOWN])
        more = len(self.violations) - self.SHOWN
        super().__init__(
            f"The input does not fit the model's signature: {shown}{f'; and {more} more' if more > 0 else ''}.",
            hint=hint,
        )


class ServingError(PenstockError):
    code = "serving"


class ModelNotServed(ServingError):
    code = "model_not_served"


class ModelLoading(ServingError):
    code = "model_loading"


class Overloaded(ServingError):
    """A limit is reached; `limit` says which, as the metrics name it. `retry_after` is whole seconds."""

    code = "overloaded"

    def __init__(self, message: str, *, limit: str = "rows", retry_after: int = 1) -> None:
        super().__init__(message, hint=f"Try again in {retry_after} s.")
        self.limit = limit
        self.retry_after = retry_after


class DeadlineExceeded(ServingError):
    code = "deadline_exceeded"


class WorkerLost(ServingError):
    code = "worker_lost"


class ModelProcessLost(ServingError):
    """`retry_after` is in whole seconds."""

    code = "model_process_lost"
    retry_after: int = 1


class Closing(ServingError):
    code = "closing"


class PredictError(PenstockError):
    """The model's code raised. The original exception is the `__cause__`."""

    code = "predict"


class AnswerUnserializable(PenstockError):
    code = "answer_unserializable"


class AnswerHasNoColumns(AnswerUnserializable):
    code = "answer_has_no_columns"


class CellHasNoForm(AnswerHasNoColumns):
    """`row` from 0, among those that the model was given."""

    code = "cell_has_no_form"

    def __init__(self, row: int, column: str, found: str) -> None:
        super().__init__(f"The model's answer holds, in row {row}, column {column!r}, {found}.")
        self.row, self.column, self.found = row, column, found


class ScoringError(PenstockError):
    code = "scoring"


class SchemaMismatch(ScoringError):
    code = "schema_mismatch"


class JobDiffers(ScoringError):
    code = "job_differs"


class TooManyRejects(ScoringError):
    code = "too_many_rejects"


class Interrupted(ScoringError):
    code = "interrupted"


def error_code(error: BaseException) -> str:
    """The stable code of any error: its class's, or the root's for one that is not of this tree."""
    return error.code if isinstance(error, PenstockError) else PenstockError.code


def error_of(code: str, message: str, hint: str = "") -> PenstockError:
    """An error that another process wrote down, of the class that has this code. One whose class needs more than a
    message, or that is unknown, comes back as the root."""
    kinds = [PenstockError]
    for kind in kinds:  # grows while it is walked: the whole tree
        kinds += kind.__subclasses__()
    found = next((k for k in kinds if k.code == code and k.__init__ is PenstockError.__init__), PenstockError)
    return found(message, hint=hint)
