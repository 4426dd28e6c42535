"""An independent answer to "may he", written from the documented meaning of roles and not from the code under test.

It knows small worlds only: one object with the ids it belongs to, a list of (role, scope kind, scope id), a token scope.
"""

from dataclasses import dataclass
from uuid import UUID

from hub.core.access import TokenScope

READING = {"get", "list"}


@dataclass(frozen=True)
class Thing:
    """An object of some kind and everything that it belongs to; several ids when it is reached in several ways."""

    kind: str
    tenants: frozenset[UUID] = frozenset()
    projects: frozenset[UUID] = frozenset()
    clusters: frozenset[UUID] = frozenset()
    owner: UUID | None = None


# What the roles mean, said again in other words: kind of object to verbs.
OWNER_MAY = {
    "clusters": READING | {"use", "proxy"},
    "project-namespaces": READING,
    "tenants": READING | {"update"},
    "projects": READING | {"create", "update", "delete"},
    "role-bindings": READING | {"create", "delete"},
}
VIEWER_MAY = {
    "clusters": READING | {"proxy"},
    "project-namespaces": READING,
    "tenants": READING,
    "projects": READING,
}
OWN = {"users": READING, "tokens": READING | {"create", "delete"}}


def may(
    me: UUID,
    roles: list[tuple[str, str, UUID | None]],
    token: TokenScope,
    verb: str,
    thing: Thing,
    verbs: frozenset[str],
) -> bool:
    if verb not in verbs:
        return False
    if token.verbs is not None and verb not in token.verbs:
        return False
    if token.read_only and verb not in READING and verb != "proxy":
        return False
    if token.projects is not None and not token.projects & thing.projects:
        return False
    if token.clusters is not None and not token.clusters & thing.clusters:
        return False
    if thing.owner == me and verb in OWN.get(thing.kind, set()):
        return True
    for role, scope, where in roles:
        if role == "hub-admin" and scope == "hub":
            return True
        if (
            role == "tenant-owner"
            and scope == "tenant"
            and where in thing.tenants
            and verb in OWNER_MAY.get(thing.kind, ())
        ):
            return True
        if role == "project-viewer" and verb in VIEWER_MAY.get(thing.kind, ()):
            if scope == "tenant" and where in thing.tenants:
                return True
            if scope == "project" and where in thing.projects:
                return True
    return False
