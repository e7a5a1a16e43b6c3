"""MLflow's exception and its error codes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from penstock.errors import SchemaViolation
from penstock.payload import Violation

# MLflow's numbers for its error codes.
CODES: Mapping[str, int] = {
    "INTERNAL_ERROR": 1,
    "TEMPORARILY_UNAVAILABLE": 2,
    "IO_ERROR": 3,
    "BAD_REQUEST": 4,
    "SERVICE_UNDER_MAINTENANCE": 5,
    "WORKSPACE_TEMPORARILY_UNAVAILABLE": 6,
    "DEADLINE_EXCEEDED": 7,
    "CANCELLED": 8,
    "RESOURCE_EXHAUSTED": 9,
    "ABORTED": 10,
    "NOT_FOUND": 11,
    "ALREADY_EXISTS": 12,
    "UNAUTHENTICATED": 13,
    "INVALID_PARAMETER_VALUE": 1000,
    "ENDPOINT_NOT_FOUND": 1001,
    "MALFORMED_REQUEST": 1002,
    "INVALID_STATE": 1003,
    "PERMISSION_DENIED": 1004,
    "FEATURE_DISABLED": 1005,
    "CUSTOMER_UNAUTHORIZED": 1006,
    "REQUEST_LIMIT_EXCEEDED": 1007,
    "RESOURCE_CONFLICT": 1008,
    "UNPARSEABLE_HTTP_ERROR": 1009,
    "NOT_IMPLEMENTED": 1010,
    "DATA_LOSS": 1011,
    "INVALID_STATE_TRANSITION": 2001,
    "COULD_NOT_ACQUIRE_LOCK": 2002,
    "RESOURCE_ALREADY_EXISTS": 3001,
    "RESOURCE_DOES_NOT_EXIST": 3002,
    "QUOTA_EXCEEDED": 4001,
    "RESOURCE_LIMIT_EXCEEDED": 5002,
}
_CODE_NAMES = {number: name for name, number in CODES.items()}
ERROR_CODE = SimpleNamespace(Name=_CODE_NAMES.__getitem__, Value=CODES.__getitem__)


class MlflowException(Exception):
    """`error_code` is the code's name."""

    def __init__(
        self, message: object, error_code: int = 1, sqlstate: Any = None, error_class: Any = None, **kwargs: Any
    ) -> None:
        self.error_code = _CODE_NAMES.get(error_code, "INTERNAL_ERROR")
        self.message = str(message)
        self.sqlstate = sqlstate
        self.error_class = error_class
        self.json_kwargs = kwargs
        super().__init__(self.message)

    def serialize_as_json(self) -> str:
        return json.dumps({"error_code": self.error_code, "message": self.message, **self.json_kwargs})

    @classmethod
    def invalid_parameter_value(cls, message: object, **kwargs: Any) -> MlflowException:
        return cls(message, error_code=CODES["INVALID_PARAMETER_VALUE"], **kwargs)


class InputRefused(SchemaViolation, MlflowException):
    """Input that a model's type hint refuses. Wrappers pickled by MLflow let only MlflowExceptions through."""

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        super().__init__(violations)
        self.error_code = "INVALID_PARAMETER_VALUE"


class StandinLacks(AttributeError):
    """A name of MLflow's that only MLflow itself has."""
