"""The server's own controllers, run after every change: emptying of deleted namespaces, default service accounts, and
garbage collection by owner (in ``garbage``).

They stand for what kube-controller-manager does in a real cluster, and for nothing more.
"""

import asyncio
import logging

from kube import resources
from kube.resources import Object
from simulator.apiserver.builtin_rules import NAMESPACE_FINALIZER
from simulator.apiserver.deletion import DeleteOptions
from simulator.apiserver.garbage import GarbageCollector
from simulator.apiserver.registry import Registry, WriteOptions
from simulator.apiserver.status import ApiError
from simulator.apiserver.storage import Change
from simulator.kinds import KindSpec

_MANAGER = "kube-controller-manager"
_log = logging.getLogger(__name__)
_DEFAULT_ACCOUNT = "default"
_REMAINING = "NamespaceContentRemaining"


class Housekeeping:
    """Listens to a registry's store; ``run`` works until it is cancelled, ``settle`` works once through."""

    def __init__(self, registry: Registry, root_ca_pem: str) -> None:
        self._registry = registry
        self._root_ca = root_ca_pem
        self._kinds = {kind.resource: kind for kind in registry.kinds}
        self._namespaces: set[str] = set()
        self._awake = asyncio.Event()
        self._garbage = GarbageCollector(registry)
        for stored in registry.store.collection(self._kinds[resources.NAMESPACES]).list():
            self._namespaces.add(stored.key[1])
        registry.store.listeners.append(self._heard)
        self._awake.set()

    async def run(self) -> None:
        """Work whenever something changed."""
        while True:
            await self._awake.wait()
            self._awake.clear()
            self.settle()

    def settle(self) -> None:
        """Work until nothing is left to do now."""
        while self._namespaces or self._garbage.has_work:
            self._garbage.work()
            for name in sorted(self._namespaces):
                self._namespaces.discard(name)
                try:
                    self._tend(name)
                except ApiError as error:
                    _log.warning("housekeeping of namespace %s: %s", name, error)

    def _heard(self, kind: KindSpec, change: Change) -> None:
        self._garbage.heard(kind, change)
        if kind.resource == resources.NAMESPACES:
            if change.type != "DELETED":
                self._namespaces.add(change.stored.key[1])
        elif change.type == "DELETED" and kind.resource.namespaced:
            self._namespaces.add(change.stored.key[0])
        self._awake.set()

    def _tend(self, name: str) -> None:
        stored = self._registry.store.collection(self._kinds[resources.NAMESPACES]).find("", name)
        if stored is None:
            return
        if "deletionTimestamp" in stored.object["metadata"]:
            self._empty(name)
        else:
            self._furnish(name)

    def _furnish(self, namespace: str) -> None:
        """Each namespace has a default service account and the cluster's CA."""
        account: Object = {"metadata": {"name": _DEFAULT_ACCOUNT}}
        self._ensure(self._kinds[resources.SERVICE_ACCOUNTS], namespace, account)
        bundle: Object = {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": self._root_ca}}
        self._ensure(self._kinds[resources.CONFIG_MAPS], namespace, bundle)

    def _ensure(self, kind: KindSpec, namespace: str, obj: Object) -> None:
        if self._registry.store.collection(kind).find(namespace, obj["metadata"]["name"]) is None:
            self._registry.create(kind, namespace, obj, WriteOptions(_MANAGER))

    def _empty(self, namespace: str) -> None:
        """Delete what is in the namespace; once nothing is left, let it go."""
        remaining: list[str] = []
        for kind in self._registry.kinds:
            if not kind.resource.namespaced or kind.transient:
                continue
            for stored in self._registry.store.collection(kind).list(namespace):
                if "deletionTimestamp" not in stored.object["metadata"]:
                    self._registry.delete(kind, *stored.key, DeleteOptions("Background"))
            count = len(self._registry.store.collection(kind).list(namespace))
            if count:
                remaining.append(f"{kind.key} has {count} resource instances")
        if remaining:
            self._tell_remaining(namespace, remaining)
        else:
            self._finalize(namespace)

    def _finalize(self, namespace: str) -> None:
        def without_finalizer(obj: Object) -> Object:
            kept = [name for name in obj["spec"].get("finalizers") or [] if name != NAMESPACE_FINALIZER]
            obj["spec"] = {"finalizers": kept} if kept else {}
            return obj

        kind = self._kinds[resources.NAMESPACES]
        self._registry.change(kind, "", namespace, without_finalizer, WriteOptions(_MANAGER), "finalize")

    def _tell_remaining(self, namespace: str, remaining: list[str]) -> None:
        message = f"Some resources are remaining: {', '.join(remaining)}"

        def with_condition(obj: Object) -> Object:
            condition = {"type": _REMAINING, "status": "True", "reason": "SomeResourcesRemain", "message": message}
            obj.setdefault("status", {})["conditions"] = [condition]
            return obj

        kind = self._kinds[resources.NAMESPACES]
        self._registry.change(kind, "", namespace, with_condition, WriteOptions(_MANAGER), "status")
