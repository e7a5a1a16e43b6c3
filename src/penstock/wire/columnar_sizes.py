"""What columnar tables unfold to: by a Parquet file's own metadata, and by the tables that were read."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.errors import MalformedInput
from penstock.wire.budget import OBJECT_BYTES, Budget
from penstock.wire.soundness import parts_of

_REPEATING = ("PLAIN_DICTIONARY", "RLE_DICTIONARY", "DELTA_BYTE_ARRAY")


def check_parquet_claims(metadata: Any, budget: Budget) -> None:
    """Raises InputTooLarge where the file says that it unfolds to more than the budget has, MalformedInput for claims
    that cannot be."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for position in range(group.num_columns):
            chunk = group.column(position)
            size, values = chunk.total_uncompressed_size, chunk.num_values
            if size < 0 or values < 0 or chunk.total_compressed_size < 0:
                raise MalformedInput("The Parquet file claims a negative size.")
            budget.spend_bytes(size)
            budget.spend_cells(values)


def widest_row(group: Any) -> int:
    """The bytes that one row of a row group may take at most: a text in a dictionary may be as long as the whole
    chunk, and stand in every row."""
    chunks = [group.column(position) for position in range(group.num_columns)]
    return sum(
        chunk.total_uncompressed_size
        for chunk in chunks
        if chunk.physical_type == "BYTE_ARRAY" and not set(_REPEATING).isdisjoint(chunk.encodings)
    )


def check_table(table: Any, budget: Budget) -> None:
    """Raises InputTooLarge where a sound table takes more as Python objects and repeated texts than its bytes."""
    import pyarrow as pa

    for column in table.columns:
        type_ = column.type
        if pa.types.is_primitive(type_):
            continue
        for chunk in column.chunks:
            for part in parts_of(chunk):
                if not pa.types.is_primitive(part.type):
                    budget.spend_bytes(OBJECT_BYTES * len(part) + _repeated(part))


def _repeated(part: Any) -> int:
    """The bytes of texts that a dictionary or a view repeats."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(part.type) and _is_text(part.type.value_type):
        lengths = _lengths(part.dictionary)
        indices = part.indices.drop_null().to_numpy(zero_copy_only=False)
        return int(lengths[indices].sum()) if len(indices) else 0
    if part.type in (pa.string_view(), pa.binary_view()):
        return int(_lengths(part).sum())
    if _is_text(part.type):
        return int(pc.sum(pc.binary_length(part)).as_py() or 0)
    return 0


def _is_text(type_: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_string(type_)
        or types.is_large_string(type_)
        or types.is_binary(type_)
        or types.is_large_binary(type_)
        or types.is_string_view(type_)
        or types.is_binary_view(type_)
    )


def _lengths(texts: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if texts.type in (pa.string_view(), pa.binary_view()):  # 16 bytes each, of which the first 4 are the length
        views = np.frombuffer(texts.buffers()[1], np.int32)[::4] if len(texts) else np.empty(0, np.int32)
        return views[texts.offset : texts.offset + len(texts)].astype(np.int64)
    return np.asarray(pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False), np.int64)
