"""The tables of experiments, runs, metrics and logged models, in the same database and metadata as the registry's.

Integer keys inside, MLflow's ids outside. Times are milliseconds since 1970. NaN is kept as 0 with `nan` set, since
SQLite takes NaN for NULL and PostgreSQL sorts it last. What is read by its key alone has no row ids on SQLite: the
table is its primary key.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from penstock.sql.tables import metadata

# 64 bits everywhere, and SQLite's own row id where it is a primary key.
Key = BigInteger().with_variant(Integer, "sqlite")

# One row. `counter` grows by one with every commit, which makes it the order of all changes; the next free keys are
# taken from here in the same statement, so that rows which refer to each other can be inserted together. An experiment
# gets no id below `next_experiment`: those that were removed had them.
changes = Table(
    "penstock_changes",
    metadata,
    Column("id", Integer, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("next_run", BigInteger, nullable=False),
    Column("next_series", BigInteger, nullable=False),
    Column("next_experiment", BigInteger, nullable=False, server_default="1"),
    PrimaryKeyConstraint("id", name="penstock_changes_pk"),
)

experiments = Table(
    "penstock_experiments",
    metadata,
    Column("id", Key, nullable=False),
    Column("name", String(500), nullable=False),
    Column("artifact_location", Text, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="penstock_experiments_pk"),
    UniqueConstraint("name", name="penstock_experiments_name"),
)

experiment_tags = Table(
    "penstock_experiment_tags",
    metadata,
    Column("experiment", Key, nullable=False),
    Column("key", String(250), nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("experiment", "key", name="penstock_experiment_tags_pk"),
    ForeignKeyConstraint(["experiment"], ["penstock_experiments.id"], name="penstock_experiment_tags_fk"),
    sqlite_with_rowid=False,
)

# `changed` is the counter of the commit that changed anything of the run last.
runs = Table(
    "penstock_runs",
    metadata,
    Column("id", Key, nullable=False),
    Column("run_id", String(256), nullable=False),
    Column("experiment", Key, nullable=False),
    Column("name", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("start_time", BigInteger, nullable=False),
    Column("end_time", BigInteger, nullable=True),
    Column("artifact_uri", Text, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("deleted_at", BigInteger, nullable=True),
    Column("changed", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="penstock_runs_pk"),
    UniqueConstraint("run_id", name="penstock_runs_run_id"),
    ForeignKeyConstraint(["experiment"], ["penstock_experiments.id"], name="penstock_runs_experiment_fk"),
)
Index("penstock_runs_newest", runs.c.experiment, runs.c.deleted, runs.c.start_time.desc(), runs.c.run_id)
Index("penstock_runs_changed", runs.c.changed)

params = Table(
    "penstock_params",
    metadata,
    Column("run", Key, nullable=False),
    Column("key", String(250), nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("run", "key", name="penstock_params_pk"),
    sqlite_with_rowid=False,
)

tags = Table(
    "penstock_tags",
    metadata,
    Column("run", Key, nullable=False),
    Column("key", String(250), nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("run", "key", name="penstock_tags_pk"),
    sqlite_with_rowid=False,
)

# All points of one key of a run: what is known of them without reading them. `hot` of the `points` are rows of the next
# table, the others are in chunks. Minimum and maximum are NULL while every point is NaN.
series = Table(
    "penstock_series",
    metadata,
    Column("run", Key, nullable=False),
    Column("key", String(250), nullable=False),
    Column("id", Key, nullable=False),
    Column("points", Integer, nullable=False),
    Column("hot", Integer, nullable=False),
    Column("first_step", BigInteger, nullable=False),
    Column("last_step", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("value", Double, nullable=False),
    Column("nan", SmallInteger, nullable=False),
    Column("minimum", Double, nullable=True),
    Column("maximum", Double, nullable=True),
    PrimaryKeyConstraint("run", "key", name="penstock_series_pk"),
    sqlite_with_rowid=False,
)

# The primary key is MLflow's rule of duplicates.
points = Table(
    "penstock_points",
    metadata,
    Column("series", Key, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("value", Double, nullable=False),
    Column("nan", SmallInteger, nullable=False),
    PrimaryKeyConstraint("series", "step", "timestamp", "value", "nan", name="penstock_points_pk"),
    sqlite_with_rowid=False,
)

# Points that are packed: a few thousand of one series in one blob (tracking/sql/chunk_codec.py), in the order of the
# table above. Chunks of one series may overlap in steps where points came out of order.
chunks = Table(
    "penstock_chunks",
    metadata,
    Column("series", Key, nullable=False),
    Column("number", Integer, nullable=False),
    Column("points", Integer, nullable=False),
    Column("first_step", BigInteger, nullable=False),
    Column("last_step", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("series", "number", name="penstock_chunks_pk"),
)

datasets = Table(
    "penstock_datasets",
    metadata,
    Column("id", Key, nullable=False),
    Column("experiment", Key, nullable=False),
    Column("name", String(500), nullable=False),
    Column("digest", String(36), nullable=False),
    Column("source_type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("schema", Text, nullable=True),
    Column("profile", Text, nullable=True),
    PrimaryKeyConstraint("id", name="penstock_datasets_pk"),
    UniqueConstraint("experiment", "name", "digest", name="penstock_datasets_name"),
)

# `tags` is JSON text; `context` is one of the tags, for searches. `place` keeps the order in which inputs came.
inputs = Table(
    "penstock_inputs",
    metadata,
    Column("run", Key, nullable=False),
    Column("dataset", Key, nullable=False),
    Column("place", Integer, nullable=False),
    Column("context", Text, nullable=False),
    Column("tags", Text, nullable=False),
    PrimaryKeyConstraint("run", "dataset", name="penstock_inputs_pk"),
    sqlite_with_rowid=False,
)

# Logged models that a run took ("input") or made ("output").
run_models = Table(
    "penstock_run_models",
    metadata,
    Column("run", Key, nullable=False),
    Column("direction", String(8), nullable=False),
    Column("model_id", String(36), nullable=False),
    Column("step", BigInteger, nullable=False),
    PrimaryKeyConstraint("run", "direction", "model_id", name="penstock_run_models_pk"),
    sqlite_with_rowid=False,
)

logged_models = Table(
    "penstock_logged_models",
    metadata,
    Column("id", Key, nullable=False),
    Column("model_id", String(36), nullable=False),
    Column("experiment", Key, nullable=False),
    Column("name", String(500), nullable=False),
    Column("artifact_uri", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("status", String(32), nullable=False),
    Column("status_message", Text, nullable=False),
    Column("model_type", Text, nullable=False),
    Column("source_run_id", String(256), nullable=False),
    Column("deleted", Boolean, nullable=False),
    PrimaryKeyConstraint("id", name="penstock_logged_models_pk"),
    UniqueConstraint("model_id", name="penstock_logged_models_model_id"),
    Index("penstock_logged_models_newest", "experiment", "deleted", "created_at"),
)

logged_model_params = Table(
    "penstock_logged_model_params",
    metadata,
    Column("model", Key, nullable=False),
    Column("key", String(250), nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("model", "key", name="penstock_logged_model_params_pk"),
    sqlite_with_rowid=False,
)

logged_model_tags = Table(
    "penstock_logged_model_tags",
    metadata,
    Column("model", Key, nullable=False),
    Column("key", String(250), nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("model", "key", name="penstock_logged_model_tags_pk"),
    sqlite_with_rowid=False,
)

# MLflow's identity of such a point, in which the value has no part.
logged_model_metrics = Table(
    "penstock_logged_model_metrics",
    metadata,
    Column("model", Key, nullable=False),
    Column("key", String(250), nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("run", Key, nullable=False),
    Column("value", Double, nullable=False),
    Column("dataset_name", String(500), nullable=False),
    Column("dataset_digest", String(36), nullable=False),
    PrimaryKeyConstraint("model", "key", "timestamp", "step", "run", name="penstock_logged_model_metrics_pk"),
    sqlite_with_rowid=False,
)
