"""How databases are named, to people and to later imports."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url

from penstock.moving.mlflow_database.connections import place_of_server


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann@db:5433/mlflow",
        "postgresql+psycopg2://ann:secret@db:5433/mlflow?sslmode=require",
        "postgresql://ann:s%40cret@db:5433/mlflow",
    ],
)
def test_a_database_has_one_name_however_it_is_reached(url: str) -> None:
    assert place_of_server(make_url(url), "postgresql") == "postgresql://ann@db:5433/mlflow"


def test_servers_behind_sockets_have_names_of_their_own() -> None:
    found = [place_of_server(make_url(f"mysql://u@/m?unix_socket=/run/{each}"), "mysql") for each in "ab"]
    assert len(set(found)) == 2
