"""What a model takes, gives and accepts as params; and whether rows fit.

`types` names the types, `schema` holds fields and signatures and reads MLflow's JSON form of them, `casts` turns one
column into its type, `moments` is the rule for dates and times, `conform` checks a whole payload, `params` checks
params, `infer` guesses a signature from payloads, `compatibility` compares two, `bounded` says whether a row's size is
known.
"""

from penstock.signature.bounded import bounded_rows, long_texts, unbounded_column
from penstock.signature.cell_texts import is_missing_word
from penstock.signature.cells import BOOLEAN_WORDS
from penstock.signature.compatibility import breaking_changes
from penstock.signature.conform import Casting, conform
from penstock.signature.infer import infer_signature
from penstock.signature.misfit import Misfit
from penstock.signature.moments import check_moments
from penstock.signature.params import conform_params, unknown_param, unknown_params
from penstock.signature.schema import Field, Param, Schema, Signature, TensorField, is_tensor_schema, shown_schema
from penstock.signature.types import AnyValue, ArrayOf, MapOf, ObjectOf, Property, Scalar, Type

__all__ = [
    "BOOLEAN_WORDS",
    "AnyValue",
    "ArrayOf",
    "Casting",
    "Field",
    "MapOf",
    "Misfit",
    "ObjectOf",
    "Param",
    "Property",
    "Scalar",
    "Schema",
    "Signature",
    "TensorField",
    "Type",
    "bounded_rows",
    "breaking_changes",
    "check_moments",
    "conform",
    "conform_params",
    "infer_signature",
    "is_missing_word",
    "is_tensor_schema",
    "long_texts",
    "shown_schema",
    "unbounded_column",
    "unknown_param",
    "unknown_params",
]
