"""What is kept on this machine, below the user's configuration folder: known hubs with their CA, and tokens.

Files are written whole and readable by their owner alone. A lock per hub keeps parallel kubectl processes from logging in
at the same time.
"""

from __future__ import annotations

import calendar
import contextlib
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .hub_client import LoginError

LOCK_SECONDS = 600.0
LOCK_POLL_SECONDS = 0.1
EARLY_SECONDS = 60
"""A token that ends so soon is not handed out any more."""


@dataclass(frozen=True)
class Token:
    """A token of the user's; ``expires_at`` is RFC 3339 in UTC."""

    hub: str
    token: str
    username: str
    expires_at: str

    def __repr__(self) -> str:
        return f"Token(hub={self.hub!r}, username={self.username!r}, expires_at={self.expires_at!r})"

    @property
    def is_fresh(self) -> bool:
        """Whether it is good for a while, by this machine's clock."""
        return seconds_of(self.expires_at) - EARLY_SECONDS > time.time()


class Store:
    """The folder ``$PADDOCK_CONFIG``, else ``paddock`` in the user's configuration folder."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or _default_folder()

    def current_hub(self) -> str | None:
        """The hub that was logged in to last."""
        current = self._read_hubs().get("current")
        return current if isinstance(current, str) else None

    def ca_of(self, hub: str) -> str | None:
        """The pinned CA of the hub (PEM)."""
        hubs = self._read_hubs().get("hubs")
        known = hubs.get(hub) if isinstance(hubs, dict) else None
        ca_pem = known.get("ca_pem") if isinstance(known, dict) else None
        return ca_pem if isinstance(ca_pem, str) else None

    def remember_hub(self, hub: str, ca_pem: str | None) -> None:
        """Pins the hub's CA, and makes it the current one."""
        document = self._read_hubs()
        hubs = document.get("hubs")
        known = dict(hubs) if isinstance(hubs, dict) else {}
        known[hub] = {"ca_pem": ca_pem}
        write_private(self.folder / "hubs.json", json.dumps({"current": hub, "hubs": known}, indent=1))

    def find_token(self, hub: str) -> Token | None:
        """The kept token, fresh or not; None also when its file cannot be read as one."""
        document = _read_json(self._token_file(hub))
        try:
            found = Token(**document)
            return found if found.hub == hub and seconds_of(found.expires_at) else None
        except (TypeError, ValueError):
            return None

    def keep_token(self, token: Token) -> None:
        write_private(self._token_file(token.hub), json.dumps(asdict(token)))

    def drop_token(self, hub: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._token_file(hub).unlink()

    @contextlib.contextmanager
    def locked(self, hub: str, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """One process at a time for this hub. Raises LoginError when another does not let go."""
        path = self.folder / "tokens" / f"{_digest(hub)}.lock"
        _make_folder(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + seconds
            while not _try_lock(descriptor):
                if time.monotonic() >= deadline:
                    raise LoginError("Another paddock-login has been busy with this hub for too long; end it first")
                time.sleep(LOCK_POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)  # lets go of the lock too

    def _token_file(self, hub: str) -> Path:
        return self.folder / "tokens" / f"{_digest(hub)}.json"

    def _read_hubs(self) -> dict[str, Any]:
        return _read_json(self.folder / "hubs.json")


def seconds_of(moment: str) -> float:
    """RFC 3339 in UTC as seconds since 1970; fractions are cut off. Raises ValueError."""
    return float(calendar.timegm(time.strptime(moment[:19], "%Y-%m-%dT%H:%M:%S")))


def write_private(path: Path, text: str) -> None:
    """Writes the file whole, for its owner alone, or not at all."""
    _make_folder(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def _default_folder() -> Path:
    chosen = os.environ.get("PADDOCK_CONFIG")
    if chosen:
        return Path(chosen)
    base = os.environ.get("APPDATA" if sys.platform == "win32" else "XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "paddock"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LoginError(f"The folder {folder} cannot be made ({error.strerror})") from None


def _read_json(path: Path) -> dict[str, Any]:
    """What the file says; nothing when there is no such file or it says nothing that was written here."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise LoginError(f"{path} cannot be read ({error.strerror})") from None
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _digest(hub: str) -> str:
    return hashlib.sha256(hub.encode()).hexdigest()[:16]


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
