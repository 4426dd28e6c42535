"""The keys file: made once, never replaced, refused when it is not one."""

import base64
import json
import stat
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hub.core.errors import HubError
from hub.core.keys import FileKeys, KeyRing, ensure_keys_file, key_ring

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(32)).decode()


def document(**changes: Any) -> str:
    return json.dumps({"keys": {"k1": KEY}, "peppers": {"p1": KEY}, "signing": KEY, **changes})


def test_a_fresh_file_is_private_and_usable(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    ensure_keys_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ring = KeyRing.parse(path.read_text())
    assert isinstance(ring.masters, FileKeys)
    assert len({*ring.masters.by_id.values(), *ring.peppers.values(), ring.signing}) == 3
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys.json"]


def test_an_existing_file_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text("precious")
    ensure_keys_file(path)
    assert path.read_text() == "precious"


def test_two_starts_at_once_agree_on_one_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    seen: list[str] = []

    def start() -> None:
        ensure_keys_file(path)
        seen.append(path.read_text())

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(seen) == 4
    assert len(set(seen)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "{}",
        document(keys={}),
        document(peppers={}),
        document(keys={"k.1": KEY}),
        document(keys={"k1": "c2hvcnQ="}),
        document(keys={"k1": 5}),
        document(keys=[KEY]),
        document(signing="not base64!"),
    ],
)
def test_what_is_no_keys_file_is_refused_without_showing_a_key(text: str) -> None:
    with pytest.raises(HubError) as caught:
        KeyRing.parse(text, "/etc/keys.json")
    assert caught.value.code == "secret.keys_invalid"
    assert "/etc/keys.json" in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o606, 0o660, 0o601])
def test_sec13_a_file_that_others_can_read_or_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    path = tmp_path / "keys.json"
    ensure_keys_file(path)
    path.chmod(mode)
    monkeypatch.setattr("hub.core.keys.environment", lambda: SimpleNamespace(keys_file=path))
    with pytest.raises(HubError, match="chmod 600"):
        key_ring()


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440])
def test_sec13_a_file_of_its_owner_or_group_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    path = tmp_path / "keys.json"
    ensure_keys_file(path)
    path.chmod(mode)
    monkeypatch.setattr("hub.core.keys.environment", lambda: SimpleNamespace(keys_file=path))
    assert key_ring().current == "k1"


class KeyService:
    """Master keys that come from elsewhere."""

    def __init__(self, **keys: bytes) -> None:
        self.current = next(iter(keys))
        self._keys = keys

    def find(self, key_id: str) -> bytes | None:
        return self._keys.get(key_id)


def test_master_keys_may_come_from_elsewhere() -> None:
    ring = KeyRing(KeyService(remote=bytes(32)), {}, b"")
    assert ring.open(ring.seal("text", "place"), "place") == "text"
    away = KeyService(remote=bytes(32))
    away.current = "gone"
    with pytest.raises(HubError, match=r"secret\.keys_invalid"):
        KeyRing(away, {}, b"").seal("text", "place")


def test_flt41_the_first_key_writes_and_all_of_them_read() -> None:
    before = KeyRing.parse(document(keys={"old": KEY}))
    both = KeyRing.parse(document(keys={"new": OTHER_KEY, "old": KEY}))
    sealed = before.seal("text", "place")
    assert both.open(sealed, "place") == "text"
    assert both.seal("text", "place").split(".")[1] == "new"


def test_flt41_a_value_of_a_key_that_is_gone_does_not_open() -> None:
    sealed = KeyRing.parse(document(keys={"old": KEY})).seal("text", "place")
    with pytest.raises(HubError, match=r"secret\.unreadable"):
        KeyRing.parse(document(keys={"new": OTHER_KEY})).open(sealed, "place")
    with pytest.raises(HubError, match=r"secret\.unreadable"):
        KeyRing.parse(document(keys={"old": OTHER_KEY})).open(sealed, "place")


def test_a_key_ring_does_not_show_its_keys() -> None:
    assert KEY not in repr(KeyRing.parse(document()))
    assert "\\x01\\x02" not in repr(KeyRing.parse(document()))
