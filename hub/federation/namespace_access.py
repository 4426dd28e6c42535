"""What the hub keeps in a project's namespace of a member: role bindings and the machines' account. No database.

The namespace itself and its labels are its reconciler's, the quota in it ``workers.reconcilers.namespace_quota``'s.
"""

from collections.abc import Collection
from uuid import UUID

from kube.client import KubeClient
from kube.resources import LIMIT_RANGES, NAMESPACES, RESOURCE_QUOTAS, ROLE_BINDINGS, SERVICE_ACCOUNTS

from . import member_objects
from .member_access import keep_object, when_allowed
from .registration import apply_object, is_ours
from .rights import MACHINE_ACCOUNT, NAMESPACE_ROLE, QUOTA, HubMark


def keep_bindings(
    client: KubeClient, mark: HubMark, namespace: str, project_id: UUID, keys: Collection[str], *, with_machines: bool
) -> None:
    """One binding for each role in use, the hub's own, and the machines'; strays with our mark go. Raises KubeError."""
    found = {
        obj["metadata"]["name"]: obj for obj in client.list(ROLE_BINDINGS, namespace, label_selector=mark.selector)
    }
    wanted = [
        member_objects.build_hub_binding(mark, namespace),
        *([member_objects.build_machine_binding(mark, namespace)] if with_machines else []),
        *(member_objects.build_project_binding(mark, namespace, project_id, key) for key in sorted(keys)),
    ]
    for binding in wanted:
        keep_object(client, binding, found.get(binding["metadata"]["name"]))
    names = {binding["metadata"]["name"] for binding in wanted}
    for name in found.keys() - names:
        client.delete(ROLE_BINDINGS, name, namespace, uid=found[name]["metadata"]["uid"])


def keep_machine_account(client: KubeClient, mark: HubMark, namespace: str) -> bool:
    """The account that machines are made with; whether it was made anew, so that older tokens are worth nothing.

    Raises KubeError.
    """
    found: list[bool] = []

    def keep() -> None:
        found.append(client.find(SERVICE_ACCOUNTS, MACHINE_ACCOUNT, namespace) is not None)
        apply_object(client, member_objects.build_machine_account(mark, namespace))

    when_allowed(keep)
    return not found[-1]


def release(client: KubeClient, mark: HubMark, namespace: str) -> None:
    """Takes back what the hub has in an adopted namespace, its labels last; the rest is as it was. Raises KubeError.

    Cut off anywhere it can be done again: it begins by giving the hub's account what it needs for it.
    """
    keep_object(client, member_objects.build_hub_binding(mark, namespace), None)
    when_allowed(lambda: _remove_parts(client, mark, namespace))
    bindings = client.list(ROLE_BINDINGS, namespace, label_selector=mark.selector)
    for binding in sorted(bindings, key=lambda obj: obj["metadata"]["name"] == NAMESPACE_ROLE):  # the hub's own last
        client.delete(ROLE_BINDINGS, binding["metadata"]["name"], namespace, uid=binding["metadata"]["uid"])
    if client.find(NAMESPACES, namespace) is not None:
        apply_object(client, member_objects.build_released_namespace(namespace))


def _remove_parts(client: KubeClient, mark: HubMark, namespace: str) -> None:
    for resource, name in ((RESOURCE_QUOTAS, QUOTA), (LIMIT_RANGES, QUOTA), (SERVICE_ACCOUNTS, MACHINE_ACCOUNT)):
        found = client.find(resource, name, namespace)
        if found is not None and is_ours(found, mark):
            client.delete(resource, name, namespace, uid=found["metadata"]["uid"])
