"""CSV: one definition of the format for HTTP bodies and for files, written down in docs/csv.md.

`records` says where records end, `rows` what their cells are, `guessing` what columns become where no signature says
it; with one, `signature.conform` reads the cells. `tables` and `plain` read whole bodies.
"""

from penstock.wire.csv.guessing import guess_column, loses_zeros
from penstock.wire.csv.plain import decode_plain
from penstock.wire.csv.rows import check_head, check_header, check_utf8, check_widths, header_names, open_text
from penstock.wire.csv.tables import decode_csv, own_names, text_columns

__all__ = [
    "check_head",
    "check_header",
    "check_utf8",
    "check_widths",
    "decode_csv",
    "decode_plain",
    "guess_column",
    "header_names",
    "loses_zeros",
    "open_text",
    "own_names",
    "text_columns",
]
