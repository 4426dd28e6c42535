"""The values that cross the contract: who owns a machine, what is ordered, what was seen, what is left.

All are frozen. An illegal name or label cannot be constructed (ValueError), so no driver has to think of one; what
else an infrastructure refuses is the driver's to say. No value here knows Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

RESERVED_LABEL_PREFIX = "paddock.io/"
"""Labels below this prefix are the hub's own: an order that brings one is refused (SEC-43)."""

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def _check(pattern: re.Pattern[str], what: str, value: str) -> None:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{what} {value!r} is not allowed: at most 63 characters that match {pattern.pattern}")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose machine it is. Written on every object of the machine and compared before every change.

    hub_id and machine_id decide; a higher epoch on the object (a hub restored from a backup, started later) wins over
    ours.
    """

    hub_id: str
    epoch: int
    machine_id: str
    tenant_id: str

    def __post_init__(self) -> None:
        for what in ("hub_id", "machine_id", "tenant_id"):
            _check(_LABEL_VALUE, what, getattr(self, what))
        if self.epoch < 0:
            raise ValueError(f"epoch {self.epoch} is negative")

    def owns(self, found: Owner | None) -> bool:
        """Whether an object with the owner `found` is ours to adopt, change and delete (ND-07, ND-08)."""
        if found is None:
            return False
        return (found.hub_id, found.machine_id) == (self.hub_id, self.machine_id) and found.epoch <= self.epoch


@dataclass(frozen=True, slots=True)
class MachineRef:
    """Names one machine. `name` is chosen and stored by the caller before the first create.

    location: the place inside the infrastructure (harvester: the namespace).
    name: a DNS label, because it becomes the node's host name.
    """

    location: str
    name: str
    owner: Owner

    def __post_init__(self) -> None:
        _check(_DNS_LABEL, "machine name", self.name)
        if not self.location:
            raise ValueError("a machine needs a location")


@dataclass(frozen=True, slots=True)
class MachineOrder:
    """What create() shall make.

    settings: validated by the driver's SettingsSchema, defaults filled.
    user_data, network_data: cloud-init documents, passed on byte for byte. user_data carries join material: drivers
        keep it where the infrastructure keeps secrets and nowhere else.
    static_addresses: what network_data configures; reported as the machine's addresses where the guest itself reports
        none.
    labels: put on the machine's objects beside the driver's own, which win.
    """

    ref: MachineRef
    cluster_name: str
    pool_name: str
    settings: Mapping[str, Any] = field(repr=False)
    user_data: str = field(repr=False)
    network_data: str | None = field(default=None, repr=False)
    ssh_public_key: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    static_addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check(_LABEL_VALUE, "cluster name", self.cluster_name)
        _check(_LABEL_VALUE, "pool name", self.pool_name)
        if reserved := sorted(key for key in self.labels if key.startswith(RESERVED_LABEL_PREFIX)):
            raise ValueError(f"labels below {RESERVED_LABEL_PREFIX} are reserved: {', '.join(map(repr, reserved))}")
        try:
            (self.user_data + (self.network_data or "")).encode()
        except UnicodeEncodeError:
            # Without the original error: it quotes the document.
            raise ValueError("user data or network data is not valid Unicode text") from None


class MachinePhase(StrEnum):
    """An observation, for people and for the caller's deadlines. Only `deleting` is final: there is no way back.

    pending: accepted, nothing runs yet. starting: being brought up, or held up (reason says by what). running: the
    guest is powered; it may not have an address yet. stopping, stopped: powered down on request or by the guest.
    failed: the infrastructure does not bring it up by itself any more (reason). deleting: deletion was asked for.
    """

    PENDING = "pending"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class MachineView:
    """One machine as it was seen by one call.

    external_id: the infrastructure's own id, stable for the machine's life and never used twice; "" while only parts
        exist.
    addresses: reachable from outside the guest, best first, without prefix length.
    reason, message: why it is not (yet) running with an address; reason is the infrastructure's own word where it has
        one.
    """

    ref: MachineRef
    external_id: str
    phase: MachinePhase
    addresses: tuple[str, ...]
    reason: str | None
    message: str | None
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class Remains:
    """What of a machine exists after delete(), as "Kind location/name" for people. Empty when proven gone."""

    objects: tuple[str, ...] = ()

    @property
    def gone(self) -> bool:
        return not self.objects


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with settings. field: JSON pointer into them ("/image"), "" for the location itself."""

    field: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Probe:
    """What probe() found. missing: rights and API groups the driver needs and lacks, one readable line each."""

    reachable: bool
    version: str | None = None
    missing: tuple[str, ...] = ()
    message: str | None = None
