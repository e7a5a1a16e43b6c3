"""The property that batching rests on: whatever comes together, every caller gets exactly its own rows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import PredictError
from penstock.payload import Payload, Tensors
from penstock.serving.batching.batcher import Batcher
from serving.fakes import FakeRunner, identity, settle, tensors, values_of

# One request: rows, layout, whether it holds a bad row, turns of the loop before it comes, and after which it leaves.
requests = st.tuples(
    st.integers(0, 40), st.integers(1, 3), st.booleans(), st.integers(0, 6), st.one_of(st.none(), st.integers(0, 12))
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    plan=st.lists(requests, max_size=14),
    max_rows=st.integers(1, 8),
    slots=st.integers(1, 3),
    joined=st.booleans(),
    wrong=st.booleans(),
    seconds=st.sampled_from([0.001, 0.004, 0.1]),
)
def test_every_caller_gets_exactly_its_own_rows(
    plan: list[tuple[int, int, bool, int, int | None]],
    max_rows: int,
    slots: int,
    joined: bool,
    wrong: bool,
    seconds: float,
) -> None:
    """Random sizes (most larger than a batch), layouts, failures and departures; with `wrong`, joined answers lack a
    row; the dearer the model, the smaller the parts."""

    def predict(payload: Payload, params: Mapping[str, Any]) -> Payload:
        assert isinstance(payload, Tensors)
        if (payload.arrays[0] < 0).any():
            raise PredictError(f"bad {sorted(set(payload.arrays[0][payload.arrays[0] < 0].tolist()))}")
        answer = identity(payload, params)
        callers = set((payload.arrays[0][:, 0] // 100).tolist())
        return answer.take(slice(1, None)) if wrong and len(callers) > 1 else answer  # type: ignore[union-attr]

    async def one(batcher: Batcher, number: int, request: tuple[int, int, bool, int, int | None]) -> None:
        rows, width, bad, wait, leaves = request
        await settle(wait)
        values = [number * 100.0 + i for i in range(rows)]
        if bad and rows:
            values[-1] = -1.0 - number
        task = asyncio.create_task(batcher.submit(tensors(*values, width=width), {}))
        if leaves is not None:
            await settle(leaves)
            task.cancel()
        try:
            answer = await task
        except asyncio.CancelledError:
            assert leaves is not None
        except PredictError as error:
            own = f"bad [{-1.0 - number}]" if bad else None
            assert own == str(error), "another caller's error"  # noqa: PT017
        else:
            assert not (bad and rows), "a bad row was answered"
            assert answer.payload.arrays[0].shape == (rows, width)  # type: ignore[union-attr]
            assert values_of(answer.payload) == values

    async def scenario() -> None:
        lost: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
        runner = FakeRunner(predict, slots=1 if joined else slots, seconds=seconds)
        batcher = Batcher(runner, joined=joined, max_rows=max_rows)
        await asyncio.gather(*(one(batcher, n, request) for n, request in enumerate(plan, start=1)))
        await batcher.close()
        assert repr(batcher).endswith("0 running, <Lanes 0 jobs, 0 rows in 0 lanes>>")
        assert lost == []

    asyncio.run(scenario())
