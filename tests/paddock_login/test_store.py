"""What is kept on the machine, and by whom it can be read."""

import threading
from pathlib import Path

import pytest

from paddock_login.hub_client import LoginError
from paddock_login.store import Store, Token, seconds_of, write_private

HUB = "https://hub.example"
TOKEN = Token(HUB, "pdk_secret", "anna", "2099-01-01T00:00:00.5Z")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_token_is_kept_for_its_owner_alone(store: Store) -> None:
    store.keep_token(TOKEN)
    assert store.find_token(HUB) == TOKEN
    files = [path for path in store.folder.rglob("*") if path.is_file()]
    assert [mode(path) for path in files] == [0o600] * len(files)
    assert mode(store.folder / "tokens") == 0o700
    assert "pdk_secret" not in "".join(str(path) for path in files)
    assert store.find_token("https://other.example") is None


def test_sec04_a_token_is_not_shown_by_its_repr() -> None:
    assert "pdk_secret" not in repr(TOKEN)


def test_a_dropped_token_is_gone_and_dropping_again_is_fine(store: Store) -> None:
    store.keep_token(TOKEN)
    for _ in range(2):
        store.drop_token(HUB)
    assert store.find_token(HUB) is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"hub": "https://hub.example"}', '{"hub":1,"token":2,"username":3,"expires_at":4}'],
)
def test_a_damaged_file_is_no_token(store: Store, content: str) -> None:
    store.keep_token(TOKEN)
    (path,) = (store.folder / "tokens").glob("*.json")
    path.write_text(content)
    assert store.find_token(HUB) is None


def test_hubs_are_remembered_with_their_ca_the_last_one_is_current(store: Store) -> None:
    assert (store.current_hub(), store.ca_of(HUB)) == (None, None)
    store.remember_hub(HUB, "PEM")
    store.remember_hub("https://other.example", None)
    assert (store.current_hub(), store.ca_of(HUB), store.ca_of("https://other.example")) == (
        "https://other.example",
        "PEM",
        None,
    )


@pytest.mark.parametrize(
    "content", ["", "x", "[]", '{"current": 5, "hubs": []}', '{"hubs": {"https://hub.example": 1}}']
)
def test_damaged_hubs_are_no_hubs(store: Store, content: str) -> None:
    write_private(store.folder / "hubs.json", content)
    assert (store.current_hub(), store.ca_of(HUB)) == (None, None)
    store.remember_hub(HUB, "PEM")
    assert store.ca_of(HUB) == "PEM"


def test_a_token_is_fresh_while_it_is_good_for_a_while() -> None:
    assert TOKEN.is_fresh
    assert not Token(HUB, "x", "anna", "2020-01-01T00:00:00Z").is_fresh


def test_moments_are_utc() -> None:
    assert seconds_of("1970-01-02T00:00:00.123456+00:00") == 86400
    with pytest.raises(ValueError, match="time data"):
        seconds_of("tomorrow")


def test_one_at_a_time_holds_the_lock(store: Store) -> None:
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with store.locked(HUB):
            held.set()
            let_go.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(10)
    with pytest.raises(LoginError, match="Another"), store.locked(HUB, seconds=0):
        pass
    with store.locked("https://other.example", seconds=0):
        pass
    let_go.set()
    with store.locked(HUB, seconds=10):
        holder.join(10)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_private(path, "old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(OSError, match="disk full"):
            write_private(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
