"""The hub's objects in a member cluster, written and taken away; its tokens, asked for. No database.

What the objects are is in ``member_objects``; when they are written, and where tokens are kept, is the reconcilers'.
What is kept up after the registration is ``member_access``'s and ``namespace_access``'s.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from kube.client import KubeClient
from kube.errors import Forbidden, Garbled, ServerError, Unavailable
from kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CONFIG_MAPS,
    LIMIT_RANGES,
    NAMESPACES,
    RESOURCE_QUOTAS,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    Object,
    Resource,
)

from . import member_objects, rights
from .checks import CheckFailed
from .rights import HUB_ACCOUNT, HUB_NAMESPACE, MACHINE_ACCOUNT, RENEWAL_ACCOUNT, HubMark, Review

ACCESS_SECONDS = 3600
MACHINE_SECONDS = 3600
RENEWAL_SECONDS = 30 * 86400
ATTEMPTS = 4
PAUSE = 0.05

ResultT = TypeVar("ResultT")

RESOURCE_OF_KIND: Mapping[str, Resource] = {
    resource.kind: resource
    for resource in (
        NAMESPACES,
        CONFIG_MAPS,
        RESOURCE_QUOTAS,
        LIMIT_RANGES,
        SERVICE_ACCOUNTS,
        ROLES,
        ROLE_BINDINGS,
        CLUSTER_ROLES,
        CLUSTER_ROLE_BINDINGS,
    )
}

_NOT_ADMIN = "Paste a kubeconfig of a cluster administrator: it is used once and then dropped"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A service account's token. ``renew_at`` is half of its life: an outage shorter than the rest does no harm."""

    text: str
    expires_at: datetime
    renew_at: datetime

    def __repr__(self) -> str:
        return f"IssuedToken(until {self.expires_at:%Y-%m-%d %H:%M:%S})"


def apply_object(client: KubeClient, obj: Object) -> Object:
    """Server-side apply of one of the kinds that federation writes. Raises KubeError."""
    return _patiently(lambda: client.apply(RESOURCE_OF_KIND[obj["kind"]], obj))


def is_ours(obj: Object, mark: HubMark) -> bool:
    """Whether the object carries this hub's mark."""
    return (obj["metadata"].get("labels") or {}).get(rights.HUB_ID_LABEL) == str(mark.hub_id)


def check_enrolment_rights(client: KubeClient) -> None:
    """Raises CheckFailed when the enrolment credential may not write the hub's objects; KubeError."""
    missing = missing_rights(client, rights.registration_reviews())
    if missing:
        raise CheckFailed("registration", f"The kubeconfig's user may not: {', '.join(map(str, missing))}", _NOT_ADMIN)


def register(client: KubeClient, mark: HubMark, kind: str, cluster_id: UUID, groups: Iterable[str]) -> None:
    """Writes the hub's namespace, mark, accounts, and their roles and bindings; again and again with the same result.

    ``client`` holds the enrolment credential. Raises CheckFailed when it may not grant the rights, else KubeError.
    """
    try:
        namespace = apply_object(client, member_objects.build_hub_namespace(mark))
        apply_object(client, member_objects.build_owner_config_map(mark, cluster_id))
        for obj in member_objects.build_registration(mark, kind, groups, namespace["metadata"]["uid"]):
            apply_object(client, obj)
    except Forbidden as error:
        raise CheckFailed("registration", error.message, _NOT_ADMIN) from error


def request_token(client: KubeClient, account: str, seconds: int, namespace: str = HUB_NAMESPACE) -> IssuedToken:
    """A new token of one of the hub's accounts. The server may shorten its life. Raises KubeError."""
    now = datetime.now(UTC)
    text, expires_at = _patiently(lambda: client.request_token(namespace, account, seconds))
    return IssuedToken(text, expires_at, now + (expires_at - now) / 2)


def request_access_token(client: KubeClient) -> IssuedToken:
    return request_token(client, HUB_ACCOUNT, ACCESS_SECONDS)


def request_renewal_token(client: KubeClient) -> IssuedToken:
    return request_token(client, RENEWAL_ACCOUNT, RENEWAL_SECONDS)


def request_machine_token(client: KubeClient, namespace: str) -> IssuedToken:
    return request_token(client, MACHINE_ACCOUNT, MACHINE_SECONDS, namespace)


def missing_rights(client: KubeClient, reviews: Iterable[Review]) -> list[Review]:
    """Those of the reviews that the member denies to the client. Raises KubeError."""
    return [review for review in reviews if not _is_allowed(client, review)]


def raise_epoch(client: KubeClient, mark: HubMark, cluster_id: UUID) -> None:
    """Writes this hub's epoch into its mark, so that an older copy stops. Raises KubeError."""
    apply_object(client, member_objects.build_owner_config_map(mark, cluster_id))


def unregister(client: KubeClient, mark: HubMark, shared_namespace: str = "") -> list[str]:
    """Takes the hub's objects away, the rights of people first; the names of what is still there, empty when done.

    The namespace goes last and takes the rest with it, the hub's own account too: after that the member answers
    Unauthorized or Forbidden. The shared namespace stays, because disks may be made of the images in it; its marks stay,
    so that it is known again. Objects of another hub are left alone. Raises KubeError.
    """
    kept = {CLUSTER_ROLE_BINDINGS: rights.OWN_CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES: rights.OWN_CLUSTER_ROLES}
    doomed: list[tuple[Resource, str, str | None]] = [
        (resource, obj["metadata"]["name"], None)
        for resource, own in kept.items()
        for obj in client.list(resource, label_selector=mark.selector)
        if obj["metadata"]["name"] not in own
    ]
    if shared_namespace:
        doomed.append((ROLE_BINDINGS, rights.SHARED_ROLE, shared_namespace))
    doomed += [(CLUSTER_ROLES, name, None) for name in (rights.MACHINE_ROLE, rights.NAMESPACE_ROLE, rights.SHARED_ROLE)]
    doomed.append((NAMESPACES, HUB_NAMESPACE, None))
    return [
        f"{resource.kind} {name}"
        for resource, name, namespace in doomed
        if not _is_gone(client, resource, name, namespace, mark)
    ]


def _is_gone(client: KubeClient, resource: Resource, name: str, namespace: str | None, mark: HubMark) -> bool:
    """Deletes an object of this hub; whether it is gone already (or was never ours)."""
    found = client.find(resource, name, namespace)
    if found is None or not is_ours(found, mark):
        return True
    if "deletionTimestamp" not in found["metadata"]:
        client.delete(resource, name, namespace, uid=found["metadata"]["uid"])
    return False


def _is_allowed(client: KubeClient, review: Review) -> bool:
    # Only group and plural are looked at by the review, so any version will do.
    resource = Resource(review.group, "v1", review.resource, review.resource, namespaced=False)
    return _patiently(lambda: client.can_i(review.verb, resource, name=review.name, subresource=review.subresource))


def _patiently(call: Callable[[], ResultT]) -> ResultT:
    """A registration is some sixty calls, of which every one has to succeed: a member that fails one in ten would never
    get through. All calls here may be repeated, so a broken one is, at once and a few times. A member that sheds load
    or does not answer in time is left in peace."""
    for attempt in range(1, ATTEMPTS):
        try:
            return call()
        except (ServerError, Garbled, Unavailable):
            time.sleep(PAUSE * attempt)
    return call()
