"""Tracking: experiments, runs, params, metrics, dataset inputs and logged models, and the counter of changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _make_changes()
    _make_experiments()
    _make_runs()
    _make_metrics()
    _make_inputs()
    _make_logged_models()


def _make_changes() -> None:
    op.create_table(
        "penstock_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("next_run", sa.BigInteger(), nullable=False),
        sa.Column("next_series", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="penstock_changes_pk"),
    )
    op.execute("INSERT INTO penstock_changes (id, counter, next_run, next_series) VALUES (1, 0, 1, 1)")


def _make_experiments() -> None:
    op.create_table(
        "penstock_experiments",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("name", sa.String(500), nullable=False),
        sa.Column("artifact_location", sa.Text(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="penstock_experiments_pk"),
        sa.UniqueConstraint("name", name="penstock_experiments_name"),
    )
    op.create_table(
        "penstock_experiment_tags",
        sa.Column("experiment", _KEY, nullable=False),
        sa.Column("key", sa.String(250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("experiment", "key", name="penstock_experiment_tags_pk"),
        sa.ForeignKeyConstraint(["experiment"], ["penstock_experiments.id"], name="penstock_experiment_tags_fk"),
        sqlite_with_rowid=False,
    )


def _make_runs() -> None:
    op.create_table(
        "penstock_runs",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("run_id", sa.String(256), nullable=False),
        sa.Column("experiment", _KEY, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=True),
        sa.Column("artifact_uri", sa.Text(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="penstock_runs_pk"),
        sa.ForeignKeyConstraint(["experiment"], ["penstock_experiments.id"], name="penstock_runs_experiment_fk"),
        sa.UniqueConstraint("run_id", name="penstock_runs_run_id"),
    )
    op.create_index("penstock_runs_changed", "penstock_runs", ["changed"])
    op.create_index(
        "penstock_runs_newest", "penstock_runs", ["experiment", "deleted", sa.text("start_time DESC"), "run_id"]
    )
    op.create_table(
        "penstock_params",
        sa.Column("run", _KEY, nullable=False),
        sa.Column("key", sa.String(250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run", "key", name="penstock_params_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "penstock_tags",
        sa.Column("run", _KEY, nullable=False),
        sa.Column("key", sa.String(250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run", "key", name="penstock_tags_pk"),
        sqlite_with_rowid=False,
    )


def _make_metrics() -> None:
    op.create_table(
        "penstock_series",
        sa.Column("run", _KEY, nullable=False),
        sa.Column("key", sa.String(250), nullable=False),
        sa.Column("id", _KEY, nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("hot", sa.Integer(), nullable=False),
        sa.Column("first_step", sa.BigInteger(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("nan", sa.SmallInteger(), nullable=False),
        sa.Column("minimum", sa.Double(), nullable=True),
        sa.Column("maximum", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("run", "key", name="penstock_series_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "penstock_points",
        sa.Column("series", _KEY, nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("nan", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("series", "step", "timestamp", "value", "nan", name="penstock_points_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "penstock_chunks",
        sa.Column("series", _KEY, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("first_step", sa.BigInteger(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("series", "number", name="penstock_chunks_pk"),
    )


def _make_inputs() -> None:
    op.create_table(
        "penstock_datasets",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("experiment", _KEY, nullable=False),
        sa.Column("name", sa.String(500), nullable=False),
        sa.Column("digest", sa.String(36), nullable=False),
        sa.Column("source_type", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=True),
        sa.Column("profile", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="penstock_datasets_pk"),
        sa.UniqueConstraint("experiment", "name", "digest", name="penstock_datasets_name"),
    )
    op.create_table(
        "penstock_inputs",
        sa.Column("run", _KEY, nullable=False),
        sa.Column("dataset", _KEY, nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run", "dataset", name="penstock_inputs_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "penstock_run_models",
        sa.Column("run", _KEY, nullable=False),
        sa.Column("direction", sa.String(8), nullable=False),
        sa.Column("model_id", sa.String(36), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run", "direction", "model_id", name="penstock_run_models_pk"),
        sqlite_with_rowid=False,
    )


def _make_logged_models() -> None:
    op.create_table(
        "penstock_logged_models",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("model_id", sa.String(36), nullable=False),
        sa.Column("experiment", _KEY, nullable=False),
        sa.Column("name", sa.String(500), nullable=False),
        sa.Column("artifact_uri", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("status_message", sa.Text(), nullable=False),
        sa.Column("model_type", sa.Text(), nullable=False),
        sa.Column("source_run_id", sa.String(256), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="penstock_logged_models_pk"),
        sa.UniqueConstraint("model_id", name="penstock_logged_models_model_id"),
    )
    op.create_index("penstock_logged_models_newest", "penstock_logged_models", ["experiment", "deleted", "created_at"])
    op.create_table(
        "penstock_logged_model_params",
        sa.Column("model", _KEY, nullable=False),
        sa.Column("key", sa.String(250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("model", "key", name="penstock_logged_model_params_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "penstock_logged_model_tags",
        sa.Column("model", _KEY, nullable=False),
        sa.Column("key", sa.String(250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("model", "key", name="penstock_logged_model_tags_pk"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "penstock_logged_model_metrics",
        sa.Column("model", _KEY, nullable=False),
        sa.Column("key", sa.String(250), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("run", _KEY, nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("dataset_name", sa.String(500), nullable=False),
        sa.Column("dataset_digest", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("model", "key", "timestamp", "step", "run", name="penstock_logged_model_metrics_pk"),
        sqlite_with_rowid=False,
    )
