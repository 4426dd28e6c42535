"""Local copies of the kinds that controllers look at, kept up to date by watches."""

import asyncio
from collections.abc import Callable, Iterable

from kube.aio import AsyncKubeClient
from kube.reflector import reflect
from kube.resources import Object, Resource
from simulator.controllers.work_queue import Key

Listener = Callable[[Key], None]


class ObjectCache:
    """One reflector per kind. Copies may be behind the API by a moment; they are shared, so nobody changes them."""

    def __init__(self, client: AsyncKubeClient, resources: Iterable[Resource]) -> None:
        self._client = client
        self._objects: dict[Resource, dict[Key, Object]] = {resource: {} for resource in resources}
        self._listeners: dict[Resource, list[Listener]] = {resource: [] for resource in self._objects}
        self._unsynced = set(self._objects)
        self._synced = asyncio.Event()

    def subscribe(self, resource: Resource, listener: Listener) -> None:
        """Calls `listener` with the key of each object that was added, changed or deleted."""
        self._listeners[resource].append(listener)

    def find(self, resource: Resource, key: Key) -> Object | None:
        return self._objects[resource].get(key)

    def list(self, resource: Resource) -> list[Object]:
        return [*self._objects[resource].values()]

    def wake(self, resource: Resource, listener: Listener) -> None:
        """Calls `listener` with the key of every object there is."""
        for key in [*self._objects[resource]]:
            listener(key)

    async def wait_synced(self) -> None:
        """Returns once every kind was listed whole."""
        await self._synced.wait()

    async def run(self) -> None:
        """Watches until cancelled. Raises KubeError for a kind that is not served or not allowed."""
        async with asyncio.TaskGroup() as group:
            for resource in self._objects:
                group.create_task(self._reflect(resource))

    async def _reflect(self, resource: Resource) -> None:
        objects = self._objects[resource]

        async def on_event(kind: str, obj: Object) -> None:
            key = (obj["metadata"].get("namespace") or "", obj["metadata"]["name"])
            if kind == "DELETED":
                objects.pop(key, None)
            else:
                objects[key] = obj
            for listener in self._listeners[resource]:
                listener(key)

        async def on_sync() -> None:
            self._unsynced.discard(resource)
            if not self._unsynced:
                self._synced.set()

        await reflect(self._client, resource, on_event=on_event, on_sync=on_sync, max_backoff=2.0)
