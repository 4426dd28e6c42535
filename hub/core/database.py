"""DATABASE_URL as Django wants it. The URL is libpq's, so everything libpq understands may be in it."""

from typing import Any

from psycopg.conninfo import conninfo_to_dict

from .environment import Environment

# libpq's names that Django has its own for; the rest (sslmode, sslrootcert, target_session_attrs, ...) is handed
# through.
_DJANGO_NAMES = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
CONNECT_TIMEOUT = 5
CONNECTION_AGE = 300


def database_settings(url: str | None, environment: Environment) -> dict[str, Any]:
    """``DATABASES["default"]``: one connection a thread, kept and checked, with server-side time limits.

    Behind PgBouncer in transaction mode, add ``options`` to its ``ignore_startup_parameters`` and set the two
    timeouts on the database role.
    """
    parts = conninfo_to_dict(url or "")
    limits = {
        "statement_timeout": environment.sql_statement_timeout,
        "lock_timeout": environment.sql_lock_timeout,
        "idle_in_transaction_session_timeout": 2 * environment.lease_seconds,
    }
    options = " ".join(f"-c {name}={seconds}s" for name, seconds in limits.items())
    extra = {name: value for name, value in parts.items() if name not in _DJANGO_NAMES}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "paddock",
        **{_DJANGO_NAMES[name]: str(value) for name, value in parts.items() if name in _DJANGO_NAMES},
        "CONN_MAX_AGE": CONNECTION_AGE,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": CONNECT_TIMEOUT, "options": options, "application_name": "paddock", **extra},
    }
