"""KeyPair: its fingerprint and whether it is a public key at all (contract harvester-vm §2.4)."""

import base64
import binascii
import hashlib

from kube.resources import KEY_PAIRS
from simulator.conditions import with_condition
from simulator.controllers.cache import ObjectCache
from simulator.controllers.objects import ObjectWriter
from simulator.controllers.work_queue import Key


class KeyPairController:
    """One reconcile per key pair."""

    def __init__(self, writer: ObjectWriter, cache: ObjectCache) -> None:
        self._writer = writer
        self._cache = cache

    async def reconcile(self, key: Key) -> float | None:
        pair = self._cache.find(KEY_PAIRS, key)
        if pair is None or pair["metadata"].get("deletionTimestamp"):
            return None
        current = pair.get("status") or {}
        conditions = current.get("conditions") or []
        try:
            print_ = fingerprint(str(pair.get("spec", {}).get("publicKey") or ""))
            status = {"fingerPrint": print_, "conditions": with_condition(conditions, "validated", "True")}
        except ValueError as error:
            refused = with_condition(conditions, "validated", "False", "Invalid", str(error))
            status = {"fingerPrint": "", "conditions": refused}
        if any(current.get(name) != value for name, value in status.items()):
            await self._writer.patch(KEY_PAIRS, pair, {"status": status})
        return None


def fingerprint(public_key: str) -> str:
    """MD5 in hex with colons, the form that Harvester shows. Raises ValueError for what is no OpenSSH public key."""
    parts = public_key.split()
    if len(parts) < 2:
        raise ValueError("ssh: no key found")
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except binascii.Error:
        raise ValueError("ssh: no key found") from None
    kind = parts[0].encode()
    if blob[:4] != len(kind).to_bytes(4, "big") or blob[4 : 4 + len(kind)] != kind:
        raise ValueError("ssh: the key is not of the type it says")
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
