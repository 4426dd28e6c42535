"""An append-only file of changes, so that a simulated cluster survives a restart with the same uids and revisions.

One JSON line per change: ``[revision, kind, deleted, object]``. A torn last line (the process was killed while writing)
is dropped. It is flushed to the operating system on every change, not to the disk: a stage, not a database.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson

from kube.resources import Object

COMPACTION = ""
"""The kind of the record that stands first in a rewritten file: it keeps the revision counter, and says that what
happened up to that revision can no longer be told."""

_SLACK = 1000
"""Lines beyond four per live object before the file is rewritten."""


@dataclass(frozen=True, slots=True)
class Record:
    """One change: the object as it is after it, or as it was when it was deleted."""

    revision: int
    kind: str
    deleted: bool
    object: Object


class Journal:
    """The file at ``path``; made when it is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = 0
        self._file: BinaryIO | None = None

    def read(self) -> list[Record]:
        """All changes so far, oldest first; what follows a torn line is cut off the file."""
        records: list[Record] = []
        kept = 0
        if self._path.exists():
            with self._path.open("rb") as file:
                for line in file:
                    record = _decode(line)
                    if record is None:
                        break
                    records.append(record)
                    kept += len(line)
            os.truncate(self._path, kept)
        self._lines = len(records)
        return records

    def append(self, record: Record) -> None:
        """Write one change."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab")
        self._file.write(_encode(record))
        self._file.flush()
        self._lines += 1

    def wants_compaction(self, live: int) -> bool:
        """True when the file holds many more changes than there are objects."""
        return self._lines > 4 * live + _SLACK

    def rewrite(self, revision: int, records: Iterable[Record]) -> None:
        """Replace the file by a compaction mark and ``records`` alone."""
        self.close()
        fresh = self._path.with_suffix(".new")
        lines = [_encode(Record(revision, COMPACTION, False, {})), *(_encode(record) for record in records)]
        fresh.write_bytes(b"".join(lines))
        fresh.replace(self._path)
        self._lines = len(lines)

    def close(self) -> None:
        """Close the file; the next change opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _encode(record: Record) -> bytes:
    return orjson.dumps([record.revision, record.kind, record.deleted, record.object], option=orjson.OPT_APPEND_NEWLINE)


def _decode(line: bytes) -> Record | None:
    if not line.endswith(b"\n"):
        return None
    try:
        revision, kind, deleted, obj = orjson.loads(line)
    except ValueError:
        return None
    return Record(revision, kind, deleted, obj)
