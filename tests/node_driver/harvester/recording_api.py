"""A double of a Harvester cluster's API in memory: enough of it for the driver, and moved by hand.

It stands in for servers where a test wants every fault at every call, fast. That the real API behaves so is what the
battery on the real kube-apiserver shows.
"""

from __future__ import annotations

import copy
import itertools
import threading
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote

from kube.credentials import Credentials
from kube.errors import AlreadyExists, Conflict, FieldCause, Invalid, NotFound
from kube.guard import AddressGuard
from kube.resources import (
    VIRTUAL_MACHINE_INSTANCES,
    VIRTUAL_MACHINES,
    Object,
    Resource,
)
from simulator.apiserver import Authority
from tests.node_driver.harvester.tapped_client import TappedClient

Key = tuple[str, str | None, str]
"""(collection path without namespace, namespace, name)"""

GROUPS = {
    "kubevirt.io": "v1",
    "subresources.kubevirt.io": "v1",
    "harvesterhci.io": "v1beta1",
    "k8s.cni.cncf.io": "v1",
    "storage.k8s.io": "v1",
}
FINALIZER = "kubevirt.io/virtualMachineControllerFinalize"


@cache
def own_ca() -> str:
    """Some CA, as without one the machine's whole store is read for each client."""
    return Authority.generate("double").server_ca.certificate


class RecordingApi(TappedClient):
    """KubeClient over a dict. Every new virtual machine has KubeVirt's finalizer, which play() takes off."""

    def __init__(self) -> None:
        super().__init__(Credentials(servers=("https://double.invalid",), ca_pem=own_ca()), guard=AddressGuard())
        self.objects: dict[Key, Object] = {}
        self.denied: set[tuple[str, str]] = set()
        self._ids = itertools.count(1)
        self._lock = threading.RLock()

    def put(self, resource: Resource, obj: Object) -> Object:
        """Puts an object there as if it had been created by somebody."""
        return self._create(parse_path(resource.path(obj["metadata"].get("namespace"))), obj)

    def peek(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        return self.objects[resource.path(), namespace, name]

    def pass_on(self, method: str, path: str, **options: Any) -> Any:
        with self._lock:
            return copy.deepcopy(self._answer(method, path, copy.deepcopy(options)))

    def _answer(self, method: str, path: str, options: dict[str, Any]) -> Any:
        body: Any = options.get("body")
        query: Any = options.get("query") or {}
        if path in ("/api", "/apis"):
            return _discovery(path)
        if path.endswith("/selfsubjectaccessreviews"):
            asked = body["spec"]["resourceAttributes"]
            return {"status": {"allowed": (asked["verb"], asked["resource"]) not in self.denied}}
        target = parse_path(path)
        if method == "POST":
            return self._create(target, body)
        if target.name is None:
            return {"metadata": {"resourceVersion": "1"}, "items": self._list(target, query.get("labelSelector") or "")}
        if method == "PUT":
            return self._power(target)
        if target.key not in self.objects:
            raise NotFound(f"{target.collection} {target.name} not found", code=404, reason="NotFound")
        if method == "PATCH":
            uid = self.objects[target.key]["metadata"]["uid"]
            if body["metadata"].get("uid", uid) != uid:
                cause = FieldCause("FieldValueInvalid", "metadata.uid", "field is immutable")
                raise Invalid("metadata.uid: field is immutable", code=422, reason="Invalid", causes=(cause,))
            self.objects[target.key] = merge(self.objects[target.key], body)
        if method == "DELETE":
            self._check(target.key, (body.get("preconditions") or {}).get("uid"))
            return self._delete(target.key)
        return self.objects[target.key]

    def _create(self, target: Path, obj: Object) -> Object:
        metadata = obj["metadata"]
        key = (target.collection, target.namespace, metadata["name"])
        if key in self.objects:
            raise AlreadyExists(f"{target.collection} {key[2]} already exists", code=409, reason="AlreadyExists")
        given: Object = {"uid": f"uid-{next(self._ids)}", "creationTimestamp": "2026-11-24T08:00:00Z"}
        if target.collection == VIRTUAL_MACHINES.path():
            given["finalizers"] = [FINALIZER]
        self.objects[key] = {**obj, "metadata": {**metadata, **given}}
        return self.objects[key]

    def _delete(self, key: Key) -> Object:
        metadata = self.objects[key]["metadata"]
        if metadata.get("finalizers"):
            metadata["deletionTimestamp"] = "2026-11-24T09:00:00Z"
        else:
            del self.objects[key]
        return {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    def _check(self, key: Key, uid: str | None) -> None:
        if uid not in (None, self.objects[key]["metadata"]["uid"]):
            raise Conflict("Precondition failed: UID in precondition", code=409, reason="Conflict")

    def _list(self, target: Path, selector: str) -> list[Object]:
        wanted = dict(part.split("=") for part in selector.split(",") if part)
        return [
            obj
            for (collection, namespace, _), obj in self.objects.items()
            if (collection, namespace) == (target.collection, target.namespace)
            and wanted.items() <= (obj["metadata"].get("labels") or {}).items()
        ]

    def _power(self, target: Path) -> None:
        """start and restart: both end in a fresh instance at the next play()."""
        assert target.name is not None
        assert target.subresource in ("start", "restart")
        if (VIRTUAL_MACHINES.path(), target.namespace, target.name) not in self.objects:
            raise NotFound(f"{target.collection} {target.name} not found", code=404, reason="NotFound")
        self.objects.pop((VIRTUAL_MACHINE_INSTANCES.path(), target.namespace, target.name), None)

    # The controllers' work, one step at a time

    def play(self, *, addresses: tuple[str, ...] = ("10.1.2.3",)) -> None:
        """What Harvester would have done after a while: instances run, deleted machines and their claims go."""
        with self._lock:
            for (collection, namespace, name), machine in list(self.objects.items()):
                if collection == VIRTUAL_MACHINES.path():
                    self._play_machine(machine, namespace or "", name, addresses)

    def _play_machine(self, machine: Object, namespace: str, name: str, addresses: tuple[str, ...]) -> None:
        instance_key = (VIRTUAL_MACHINE_INSTANCES.path(), namespace, name)
        if machine["metadata"].get("deletionTimestamp"):
            self.objects.pop(instance_key, None)
            del self.objects[VIRTUAL_MACHINES.path(), namespace, name]
        elif machine["spec"].get("runStrategy") == "Halted":
            self.objects.pop(instance_key, None)
            machine["status"] = {"printableStatus": "Stopped"}
        elif instance_key not in self.objects:
            template = machine["spec"]["template"]
            metadata = {**copy.deepcopy(template["metadata"]), "name": name, "namespace": namespace}
            instance = self.put(VIRTUAL_MACHINE_INSTANCES, {"metadata": metadata, "spec": template["spec"]})
            interfaces = [{"name": "nic-0", "ipAddress": address, "infoSource": "guest-agent"} for address in addresses]
            instance["status"] = {"phase": "Running", "interfaces": interfaces}
            machine["status"] = {"printableStatus": "Running"}


@dataclass(frozen=True, slots=True)
class Path:
    """A request path taken apart. collection: without the namespace. name, subresource: None where it ends before."""

    collection: str
    namespace: str | None
    name: str | None = None
    subresource: str | None = None

    @property
    def key(self) -> Key:
        assert self.name is not None
        return self.collection, self.namespace, self.name


def parse_path(path: str) -> Path:
    segments = [unquote(segment) for segment in path.strip("/").split("/")]
    start = 2 if segments[0] == "api" else 3
    group, rest = segments[:start], segments[start:]
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    return Path("/" + "/".join([*group, rest[0]]), namespace, *rest[1:])


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def _discovery(path: str) -> Object:
    if path == "/api":
        return {"versions": ["v1"]}
    groups = []
    for name, version in GROUPS.items():
        served = {"groupVersion": f"{name}/{version}", "version": version}
        groups.append({"name": name, "versions": [served], "preferredVersion": served})
    return {"groups": groups}
