"""The embedded servers: private, without TCP, taken up again, and clear about what is in their way."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from hub.quickstart.embedded import Account, EmbeddedPostgres, EmbeddedServerError, EmbeddedValkey

pytestmark = pytest.mark.servers


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, because sockets lie in it, and walkable for the user that PostgreSQL runs as."""
    made = Path(tempfile.mkdtemp(prefix="pdk-emb-", dir="/tmp"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


def test_sec31_postgresql_listens_on_its_socket_alone_and_trusts_nobody(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "pg", durable=False)
    url = server.start()
    try:
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT current_setting('listen_addresses')").fetchone()
            assert row == ("",)
        assert "trust" not in (folder / "pg" / "data" / "pg_hba.conf").read_text()
        assert (folder / "pg").stat().st_mode & 0o777 == 0o700
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url.replace("paddock@", "postgres@"))
    finally:
        server.stop()


def test_what_was_written_is_there_after_a_restart(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "pg", durable=False)
    for expected in (0, 1):
        with psycopg.connect(server.start()) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (expected,)
            connection.execute("INSERT INTO kept VALUES (1)")
        server.stop()


def test_an_initialisation_that_was_cut_short_is_done_again(folder: Path) -> None:
    (folder / "pg" / "data").mkdir(parents=True)
    (folder / "pg" / "data" / "half").write_text("")
    server = EmbeddedPostgres(folder / "pg", durable=False)
    server.start()
    server.stop()


def test_sec31_valkey_listens_on_its_socket_alone_and_keeps_nothing(folder: Path) -> None:
    server = EmbeddedValkey(folder / "v")
    try:
        client = redis.Redis.from_url(server.start(), socket_timeout=5)
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("save") == {"save": ""}
        assert server.socket.stat().st_mode & 0o777 == 0o700
        client.close()
    finally:
        server.stop()


def test_a_path_that_is_too_long_for_a_socket_is_named(folder: Path) -> None:
    long = folder / ("x" * 100)
    for server in (EmbeddedPostgres(long), EmbeddedValkey(long)):
        with pytest.raises(EmbeddedServerError, match="shorter PADDOCK_HOME"):
            server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as somebody else")
def test_as_root_a_service_user_that_is_missing_or_root_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nobody-of-that-name", "root"):
        monkeypatch.setenv("PADDOCK_SERVICE_USER", name)
        with pytest.raises(EmbeddedServerError, match="PADDOCK_SERVICE_USER"):
            Account.for_servers()
