"""What of a guest machine survives a power cycle: its disk, kept as one JSON file per disk.

Holds the files that cloud-init wrote, what was installed and enabled, and the node's own identity. It knows no rules;
those are `commands.py`'s and `service.py`'s.
"""

import base64
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kube.names import shorten_with_hash
from simulator.private_files import write_private


@dataclass(slots=True)
class Unit:
    """An installed systemd service: which release it runs, with which arguments and variables."""

    version: str
    arguments: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Disk:
    """One machine's disk. `cluster` is the guest cluster whose data it holds, `datastore` that it is an etcd member."""

    files: dict[str, bytes] = field(default_factory=dict)
    provisioned: bool = False
    hostname: str = ""
    address: str = ""
    guest_agent: bool = False
    units: dict[str, Unit] = field(default_factory=dict)
    enabled: list[str] = field(default_factory=list)
    node_password: str = ""
    node_name: str = ""
    cluster: str = ""
    datastore: bool = False

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        document["files"] = {path: base64.b64encode(content).decode() for path, content in self.files.items()}
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Disk":
        document = dict(document)
        document["files"] = {path: base64.b64decode(content) for path, content in document["files"].items()}
        document["units"] = {name: Unit(**unit) for name, unit in document["units"].items()}
        return cls(**document)


class DiskShelf:
    """Keeps disks by id, in a folder or, without one, in memory."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._disks: dict[str, Disk] = {}

    def addresses(self) -> dict[str, str]:
        """The address of every disk that is kept, by disk."""
        if self._folder is None or not self._folder.exists():
            return {}
        kept = (json.loads(path.read_text()) for path in sorted(self._folder.glob("*.json")))
        return {document["id"]: document["disk"]["address"] for document in kept}

    def open(self, disk_id: str) -> Disk:
        """The disk of that id; a blank one when there is none yet."""
        if disk_id not in self._disks:
            path = self._path(disk_id)
            if path is not None and path.exists():
                self._disks[disk_id] = Disk.from_json(json.loads(path.read_text())["disk"])
            else:
                self._disks[disk_id] = Disk()
        return self._disks[disk_id]

    def save(self, disk_id: str) -> None:
        """Writes the disk whole or not at all, readable by its owner only: it holds keys and tokens."""
        path = self._path(disk_id)
        if path is not None:
            write_private(path, json.dumps({"id": disk_id, "disk": self._disks[disk_id].to_json()}))

    def delete(self, disk_id: str) -> None:
        self._disks.pop(disk_id, None)
        path = self._path(disk_id)
        if path is not None:
            path.unlink(missing_ok=True)

    def _path(self, disk_id: str) -> Path | None:
        return None if self._folder is None else self._folder / f"{shorten_with_hash(disk_id)}.json"
