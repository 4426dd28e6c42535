"""DATABASE_URL as Django's settings."""

import pytest

from hub.core.database import database_settings
from hub.core.environment import environment


def test_all_parts_of_the_url_arrive() -> None:
    made = database_settings("postgresql://us%40er:p%3Aw@db.example.com:5433/hub?sslmode=verify-full", environment())
    assert (made["NAME"], made["USER"], made["PASSWORD"], made["HOST"], made["PORT"]) == (
        "hub",
        "us@er",
        "p:w",
        "db.example.com",
        "5433",
    )
    assert made["OPTIONS"]["sslmode"] == "verify-full"


def test_a_socket_folder_is_a_host() -> None:
    made = database_settings("postgresql://paddock@/paddock?host=%2Frun%2Fpg", environment())
    assert (made["HOST"], "PASSWORD" in made) == ("/run/pg", False)


def test_flt14_every_connection_has_time_limits() -> None:
    options = database_settings("postgresql:///x", environment())["OPTIONS"]
    assert "statement_timeout=30s" in options["options"]
    assert "lock_timeout=5s" in options["options"]
    assert options["connect_timeout"] == 5


@pytest.mark.django_db
def test_flt14_the_server_knows_the_limits() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout'), current_setting('lock_timeout')")
        assert cursor.fetchone() == ("30s", "5s")
