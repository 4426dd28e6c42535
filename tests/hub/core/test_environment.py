"""Settings: typed, read once, refused at start with the variable's name."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from hub.core.environment import Environment, InvalidEnvironment, environment, is_secret, split_listen, variable_name
from hub.core.management.commands.settings_reference import render_reference

SECRET = "canary-of-a-password"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test reads its own environment, starting from nothing."""
    for name, field in Environment.model_fields.items():
        monkeypatch.delenv(variable_name(name, field), raising=False)
        monkeypatch.delenv(f"{variable_name(name, field)}_FILE", raising=False)
    environment.cache_clear()
    yield
    environment.cache_clear()


def test_an_empty_environment_is_a_usable_one() -> None:
    settings = environment()
    assert settings.database_url is None
    assert settings.listen_address == ("127.0.0.1", 8443)
    assert settings.web_socket_path == settings.home / "run" / "web.sock"


def test_it_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = environment()
    monkeypatch.setenv("PADDOCK_URL", "https://other.example.com")
    assert environment() is first


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PADDOCK_URL", "http://hub.example.com"),
        ("PADDOCK_URL", "https://"),
        ("PADDOCK_URL", "https://user@hub.example.com"),
        ("PADDOCK_URL", "https://hub.example.com/path"),
        ("PADDOCK_URL", "https://hub.example.com?x=1"),
        ("PADDOCK_URL", "https://hub.example.com:0"),
        ("PADDOCK_URL", "https://hub.example.com:99999"),
        ("PADDOCK_LISTEN", "8443"),
        ("PADDOCK_LISTEN", "localhost:8443"),
        ("PADDOCK_LISTEN", "127.0.0.1:0"),
        ("PADDOCK_LISTEN", "127.0.0.1:65536"),
        ("PADDOCK_LISTEN", "127.0.0.1:８４４３"),
        ("PADDOCK_LISTEN", "::1:8443"),
        ("PADDOCK_LISTEN", "[127.0.0.1]:8443"),
        ("PADDOCK_ADDRESS_ALLOW", "10.0.0.0/8,nonsense"),
        ("PADDOCK_ADDRESS_ALLOW", "10.0.0.1/8"),
        ("PADDOCK_ADDRESS_DENY", "127.0.0.1:0"),
        ("PADDOCK_ADDRESS_DENY", "[::1]:http"),
        ("PADDOCK_LOG_LEVEL", "loud"),
        ("PADDOCK_WORKER_CONCURRENCY", "0"),
        ("PADDOCK_WORKER_CONCURRENCY", "many"),
        ("PADDOCK_POLL_INTERVAL", "0"),
        ("DATABASE_URL", "sqlite:///db.sqlite3"),
        ("REDIS_URL", "amqp://localhost"),
    ],
)
def test_nonsense_is_refused_naming_the_variable(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidEnvironment) as caught:
        environment()
    assert name in str(caught.value)


def test_every_variable_at_fault_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDOCK_LISTEN", "x")
    monkeypatch.setenv("PADDOCK_STEP_DEADLINE", "-1")
    with pytest.raises(InvalidEnvironment) as caught:
        environment()
    assert "PADDOCK_LISTEN" in str(caught.value)
    assert "PADDOCK_STEP_DEADLINE" in str(caught.value)


def test_sec04_a_refused_secret_setting_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"mysql://user:{SECRET}@host/db")
    with pytest.raises(InvalidEnvironment) as caught:
        environment()
    assert "DATABASE_URL" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text("postgresql://u:p@h/d\n")
    monkeypatch.setenv("DATABASE_URL_FILE", str(path))
    assert environment().database_url == "postgresql://u:p@h/d"


def test_a_secret_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REDIS_URL_FILE", str(tmp_path / "missing"))
    with pytest.raises(InvalidEnvironment, match="REDIS_URL_FILE"):
        environment()


def test_a_secret_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql:///a")
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    with pytest.raises(InvalidEnvironment, match="DATABASE_URL and DATABASE_URL_FILE"):
        environment()


def test_a_certificate_needs_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDOCK_TLS_CERT_FILE", "/tls/cert.pem")
    with pytest.raises(InvalidEnvironment, match="PADDOCK_TLS_KEY_FILE"):
        environment()


@pytest.mark.parametrize(("step", "lease"), [(60, 60), (90, 60)])
def test_flt04_a_step_that_may_outlive_its_lease_is_refused(
    step: int, lease: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PADDOCK_STEP_DEADLINE", str(step))
    monkeypatch.setenv("PADDOCK_LEASE_SECONDS", str(lease))
    with pytest.raises(InvalidEnvironment, match="PADDOCK_STEP_DEADLINE < PADDOCK_LEASE_SECONDS"):
        environment()


def test_address_lists_are_split_and_trimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDOCK_ADDRESS_ALLOW", "10.0.0.0/8, 127.0.0.1:6443,[::1]:6443 ,fd00::/8,")
    assert environment().address_allow == ("10.0.0.0/8", "127.0.0.1:6443", "[::1]:6443", "fd00::/8")


def test_paths_are_absolute_and_an_empty_variable_is_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDOCK_HOME", "~/x")
    monkeypatch.setenv("PADDOCK_KEYS_FILE", "")
    assert environment().home == Path.home() / "x"
    assert environment().keys_file is None


@pytest.mark.parametrize(("text", "parts"), [("0.0.0.0:443", ("0.0.0.0", 443)), ("[::]:8443", ("::", 8443))])
def test_a_listen_address_is_split(text: str, parts: tuple[str, int]) -> None:
    assert split_listen(text) == parts


class TestReference:
    def test_every_setting_is_described(self) -> None:
        assert [name for name, field in Environment.model_fields.items() if not field.description] == []

    def test_variables_that_hold_credentials_are_secret(self) -> None:
        secret = {variable_name(name, field) for name, field in Environment.model_fields.items() if is_secret(field)}
        assert secret == {"DATABASE_URL", "REDIS_URL"}

    def test_the_committed_page_is_up_to_date(self) -> None:
        page = Path(settings.BASE_DIR) / "docs" / "settings.md"
        assert page.read_text() == render_reference(), "run: python manage.py settings_reference"
