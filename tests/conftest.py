"""What every test stands on: settings for a process of tests, and servers that start when the first test asks for them.

A run that selects no test with a database or a broker starts no server. Given DATABASE_URL or REDIS_URL, that server is
used; the database of the tests is made in it and dropped again. Markers follow from the fixtures a test uses, so
``-m "not servers"`` is the fast part of the suite.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from django.conf import settings
from django.db import connection
from pytest_django import DjangoDbBlocker

from hub.core.address_guard import address_guard
from hub.core.broker import forget_broker
from hub.core.database import database_settings
from hub.core.environment import environment
from hub.core.keys import ensure_keys_file
from hub.quickstart.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.bed.fixtures import (  # noqa: F401  (fixtures and a hook, found by name)
    bed,
    chromium,
    cloud_init_schema,
    keycloak,
    kube_apiserver,
    kube_apiserver_with_real_crds,
    kube_binaries,
    kubectl,
    pytest_terminal_summary,
)

# Short, for it holds sockets; not below home, for the embedded PostgreSQL's user walks through it.
SESSION_FOLDER = Path(tempfile.mkdtemp(prefix="pdk-tests-", dir="/tmp"))
SESSION_FOLDER.chmod(0o711)

_postgres = EmbeddedPostgres(SESSION_FOLDER / "postgres", durable=False)
_valkey = EmbeddedValkey(SESSION_FOLDER / "valkey")
# A process of pytest-xdist inherits the addresses that its parent has chosen for itself; it has servers of its own.
_OWN_SERVERS = "PADDOCK_TESTS_OWN_SERVERS"
for _name in os.environ.pop(_OWN_SERVERS, "").split():
    del os.environ[_name]
_START_POSTGRES = "DATABASE_URL" not in os.environ
_START_VALKEY = "REDIS_URL" not in os.environ
os.environ[_OWN_SERVERS] = " ".join(
    name for name, own in (("DATABASE_URL", _START_POSTGRES), ("REDIS_URL", _START_VALKEY)) if own
)


def _prepare_settings() -> None:
    """The servers' addresses are known before they run, so that settings need not change when one starts.

    Django has read its settings before this file is loaded; nothing has connected yet.
    """
    os.environ.setdefault("DATABASE_URL", _postgres.url)
    os.environ.setdefault("REDIS_URL", _valkey.url)
    os.environ["PADDOCK_HOME"] = str(SESSION_FOLDER / "home")
    os.environ["PADDOCK_KEYS_FILE"] = str(SESSION_FOLDER / "keys.json")
    ensure_keys_file(SESSION_FOLDER / "keys.json")
    environment.cache_clear()
    settings.DATABASES["default"].update(database_settings(environment().database_url, environment()))


_prepare_settings()


def pytest_unconfigure() -> None:
    shutil.rmtree(SESSION_FOLDER, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        if "kube_binaries" in used:
            item.add_marker("kube")
        if used & {"kube_binaries", "postgres_server", "broker", "keycloak"} or item.get_closest_marker("django_db"):
            item.add_marker("servers")
        # With several processes (-n): what shares expensive servers stays in one of them, so that they start once.
        for group in ("e2e", "kube", "keycloak"):
            if item.get_closest_marker(group) or group in used:
                item.add_marker(pytest.mark.xdist_group(group))
                break


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a running PostgreSQL. Tests that use the database ask for ``db`` or ``transactional_db`` instead."""
    if _START_POSTGRES:
        _postgres.start()
    yield os.environ["DATABASE_URL"]
    if _START_POSTGRES:
        _postgres.stop()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres_server: str) -> None:
    """pytest-django asks for this before it makes the test database."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Lets transaction tests empty the audit table between tests, in this one database."""
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            name = connection.ops.quote_name(connection.settings_dict["NAME"])
            cursor.execute(f"ALTER DATABASE {name} SET paddock.audit_retention = 'truncate'")
        connection.close()  # the setting counts for new sessions


@pytest.fixture(scope="session")
def pumps(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The table of ``tests.rows.Pump``. Goes with ``db`` or ``transactional_db``."""
    from tests.rows import Pump

    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        editor.create_model(Pump)
    yield
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        editor.delete_model(Pump)


@pytest.fixture
def loopback_allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The hub may connect to this machine, which the guard refuses by default."""
    monkeypatch.setenv("PADDOCK_ADDRESS_ALLOW", "127.0.0.0/8,[::1]")
    environment.cache_clear()
    address_guard.cache_clear()
    yield
    monkeypatch.undo()
    environment.cache_clear()
    address_guard.cache_clear()


@pytest.fixture
def database_url(transactional_db: None) -> str:
    """The test database as DATABASE_URL of a child process; what the test writes is committed and seen there."""
    parts = connection.settings_dict
    password = f":{quote(parts['PASSWORD'], safe='')}" if parts["PASSWORD"] else ""
    query = f"?host={quote(parts['HOST'], safe='')}" + (f"&port={parts['PORT']}" if parts["PORT"] else "")
    return f"postgresql://{quote(parts['USER'], safe='')}{password}@/{quote(parts['NAME'], safe='')}{query}"


@pytest.fixture(scope="session")
def _broker_server() -> Iterator[str]:
    if _START_VALKEY:
        _valkey.start()
    yield os.environ["REDIS_URL"]
    if _START_VALKEY:
        _valkey.stop()


@pytest.fixture
def broker(_broker_server: str) -> str:
    """The REDIS_URL of a running broker, emptied for this test; an earlier test's silence is forgotten."""
    forget_broker()
    with redis.Redis.from_url(_broker_server, socket_timeout=5) as client:
        client.flushall()
    return _broker_server
