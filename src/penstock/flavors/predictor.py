"""What a flavor loads a package into: model code that takes a payload and answers with one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

from penstock.errors import PenstockError, PredictError
from penstock.payload import Params, Payload, kind_and_text


class Predictor(ABC):
    """Loaded model code: payload in, payload out. May be called from several threads at once.

    `joinable` says that rows of several callers may be predicted together, as far as the flavor can tell; loading
    proves it. `quick` says that it never waits for anything but the processor, and works no longer than its rows are
    large, so that small batches of rows of bounded size may run on the event loop itself. `takes_frames` says that
    tables reach it as pandas frames. `parallel` says that several threads really predict at once, with the interpreter
    released; `apart`, that each of them does so in a process of its own, which has to be started. `cyclic` says that
    its objects may point at each other in circles, so that closing it leaves work to the garbage collector. `not_lean`
    says why it predicts by the model's own library where the flavor has a shorter way to the same answers: empty where
    it goes that way, None where the flavor has none.
    """

    joinable: bool = True
    quick: bool = False
    takes_frames: bool = True
    parallel: bool = False
    apart: bool = False
    cyclic: bool = True
    not_lean: str | None = None

    @final
    def predict(self, payload: Payload, params: Params) -> Payload:
        """Raises PredictError with the model's own exception as its cause."""
        try:
            return self._predict(payload, params)
        except PenstockError:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit() in a model must not end the server
            raise failed(error) from error

    @abstractmethod
    def _predict(self, payload: Payload, params: Params) -> Payload: ...

    def example_form(self, payload: Payload) -> Payload:
        """The example as callers of this model should send it: as it was given, unless the model can only take or
        answer another form. It becomes the recorded example, and the signature follows from it.

        Raises PredictError where the model cannot take the rows.
        """
        return payload

    def rehearse(self, payload: Payload) -> None:  # noqa: B027  (most have one way alone)
        """Called at load with the rows of the example, before anything is predicted: whoever has a shorter way than
        the model's own sees here whether it gives the same answers."""

    def interrupt(self) -> None:  # noqa: B027  (most cannot)
        """Ends what it predicts now, where that can be done, from another thread. It is not asked again."""

    def close(self) -> None:  # noqa: B027  (most hold nothing)
        """Releases what the model holds. It is not called again."""


def failed(error: BaseException) -> PredictError:
    """What to say of an exception that a model's own code raised."""
    return PredictError(f"The model failed: {kind_and_text(error, 500)}.")
