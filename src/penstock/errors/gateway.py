"""Errors of programs that ask a gateway: what it answered, or that it did not answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from penstock.errors.root import PenstockError

if TYPE_CHECKING:
    from penstock.payload import Violation


class GatewayError(PenstockError):
    """`message` is the server's own, where it sent one. `status` is HTTP's, None where no answer came; `error_code` is
    the server's word for the kind of error. The server's log has what it does not tell under `request_id`. `tries` is
    how often the request was sent, or could not be."""

    code = "gateway"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        status: int | None = None,
        error_code: str = "",
        request_id: str = "",
        tries: int = 1,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.error_code = error_code
        self.request_id = request_id
        self.tries = tries

    def __str__(self) -> str:
        facts = [
            f"status {self.status} {self.error_code}".rstrip() if self.status is not None else "",
            f"request {self.request_id}" if self.request_id else "",
            f"{self.tries} tries" if self.tries > 1 else "",
        ]
        told = ", ".join(filter(None, facts))
        return f"{super().__str__()} ({told})" if told else super().__str__()


class RequestRefused(GatewayError):
    """`violations` are the cells that do not fit, by row (from 0) and column, as far as the server lists them."""

    code = "request_refused"
    violations: Sequence[Violation] = ()


class GatewayDenied(GatewayError):
    code = "gateway_denied"


class ModelUnknown(GatewayError):
    code = "model_unknown"


class GatewayBusy(GatewayError):
    """`retry_after` is in seconds, None where the server did not say."""

    code = "gateway_busy"
    retry_after: float | None = None


class GatewayTimeout(GatewayError):
    code = "gateway_timeout"


class GatewayFault(GatewayError):
    code = "gateway_fault"


class GatewayUnreachable(GatewayError):
    code = "gateway_unreachable"
