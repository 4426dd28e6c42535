"""Snapshots of installed CRDs, so that a new API server has them from its first second.

Creating the 148 real CRDs one by one costs a server 16 seconds. What etcd holds for them afterwards is kept in the
cache and written below the prefix of the next server before that starts. Only CRDs are kept, not the rest of a
data folder: two servers must not share the UID of their kube-system namespace, by which clusters are told apart.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bed.api_client import Object
from tests.bed.binaries import KUBERNETES_VERSION
from tests.bed.cache import cache_folder
from tests.bed.etcd import Etcd

_KEYS = "/apiextensions.k8s.io/customresourcedefinitions/"


def restore_crds(etcd: Etcd, prefix: str, crds: Sequence[Object]) -> bool:
    """Write the snapshot of exactly these CRDs below ``prefix``, before its server starts; False when none is kept."""
    path = _path(crds)
    if not path.exists():
        return False
    etcd.write_prefix(prefix + _KEYS, json.loads(path.read_text()))
    return True


def keep_crds(etcd: Etcd, prefix: str, crds: Sequence[Object]) -> None:
    """Keep what a server made of exactly these CRDs, once all are Established."""
    path = _path(crds)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as output:
        json.dump(etcd.read_prefix(prefix + _KEYS), output)
    Path(scratch).rename(path)


def _path(crds: Sequence[Object]) -> Path:
    ordered = sorted(crds, key=lambda crd: str(crd["metadata"]["name"]))
    digest = hashlib.sha256(json.dumps(ordered, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "bed" / "crds" / f"{KUBERNETES_VERSION}-{digest[:16]}.json"
