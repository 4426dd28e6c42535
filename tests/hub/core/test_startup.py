"""What a serving process checks before it serves."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.core.environment import InvalidEnvironment, environment
from hub.core.errors import HubError
from hub.core.models import hub_identity
from hub.core.startup import check_start, keys_open

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    environment.cache_clear()
    yield
    environment.cache_clear()


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "PADDOCK_KEYS_FILE"])
def test_a_setting_that_a_serving_process_needs_is_named_when_it_is_missing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(InvalidEnvironment, match=name):
        check_start()


def test_a_keys_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PADDOCK_KEYS_FILE", str(tmp_path / "gone.json"))
    with pytest.raises(HubError, match=r"gone\.json"):
        check_start()


def test_the_first_start_places_a_canary_and_the_next_one_opens_it() -> None:
    assert not hub_identity().canary
    check_start()
    assert hub_identity().canary
    assert keys_open()


def test_flt41_a_lost_key_is_noticed_and_does_not_stop_the_hub(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    check_start()
    other = base64.b64encode(os.urandom(32)).decode()
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"keys": {"k1": other}, "peppers": {"p1": other}, "signing": other}))
    path.chmod(0o600)
    monkeypatch.setenv("PADDOCK_KEYS_FILE", str(path))
    environment.cache_clear()
    check_start()
    assert not keys_open()
    assert "do not open the canary" in caplog.text


def test_the_identity_is_made_once() -> None:
    first = hub_identity()
    assert (hub_identity().hub_id, hub_identity().epoch) == (first.hub_id, 1)
