"""The writes that controllers make.

A controller never replaces an object whole: it patches the fields that are its own.
"""

from typing import Any

from kube.aio import AsyncKubeClient
from kube.errors import AlreadyExists
from kube.resources import Object, Resource, namespace_of


class ObjectWriter:
    """Ensures, patches and deletes objects through one client."""

    def __init__(self, client: AsyncKubeClient) -> None:
        self._client = client

    async def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        return await self._client.find(resource, name, namespace)

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        return await self._client.get(resource, name, namespace)

    async def list(self, resource: Resource, namespace: str | None = None) -> list[Object]:
        """All objects, over all pages."""
        objects: list[Object] = []
        token: str | None = None
        while True:
            page = await self._client.list_page(resource, namespace, limit=500, continue_token=token)
            objects += page.items
            token = page.continue_token
            if token is None:
                return objects

    async def create(self, resource: Resource, obj: Object) -> Object:
        return await self._client.create(resource, obj)

    async def ensure(self, resource: Resource, obj: Object) -> bool:
        """Creates the object unless one of that name is there, which stays as it is. True when it was created."""
        try:
            await self._client.create(resource, obj)
        except AlreadyExists:
            return False
        return True

    async def patch(
        self,
        resource: Resource,
        obj: Object,
        change: dict[str, Any],
        *,
        subresource: str | None = None,
        unchanged: bool = False,
    ) -> Object:
        """Merge-patches one object. With `unchanged` it must still be at the revision of `obj`, else Conflict."""
        metadata = obj["metadata"]
        if unchanged:
            own = {"resourceVersion": metadata["resourceVersion"]}
            change = {**change, "metadata": {**change.get("metadata", {}), **own}}
        return await self._client.patch(resource, metadata["name"], change, namespace_of(obj), subresource=subresource)

    async def delete(self, resource: Resource, obj: Object) -> None:
        """Deletes exactly this object: one of the same name made since is left alone. No error when it is gone."""
        metadata = obj["metadata"]
        await self._client.delete(resource, metadata["name"], namespace_of(obj), uid=metadata["uid"])
