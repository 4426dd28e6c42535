"""An independent answer to "may he", written from the documented meaning of roles and not from the code under test.

It knows small worlds only: objects with the ids they belong to, bindings of one person and of his groups, custom roles that
inherit, a token's scope; and inside members a dozen questions, each with a letter.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from hub.core.access import TokenScope

READING = {"get", "list"}
ALL = READING | {"create", "update", "delete"}
GROUPS_LAST = timedelta(hours=24)


@dataclass(frozen=True)
class Thing:
    """An object of some kind and everything that it belongs to; several ids when it is reached in several ways."""

    kind: str
    tenants: frozenset[UUID] = frozenset()
    projects: frozenset[UUID] = frozenset()
    clusters: frozenset[UUID] = frozenset()
    owner: UUID | None = None


@dataclass(frozen=True)
class Bound:
    """A role that somebody has somewhere; ``confirmed`` is when his group was, None when the role is his own."""

    role: str
    scope: str
    where: UUID | None
    of_tenant: UUID | None = None
    ends: datetime | None = None
    confirmed: datetime | None = None
    is_own: bool = True


@dataclass(frozen=True)
class Made:
    """A role that people made. ``letters`` are the questions of members that its own Kubernetes rules say yes to."""

    name: str
    tenant: UUID | None
    scopes: frozenset[str]
    may: Mapping[str, frozenset[str]] = field(default_factory=dict)
    letters: str = ""
    parents: tuple[str, ...] = ()


# What the built-in roles mean, said again in other words: kind of object to verbs.
_SEEN = {"project-namespaces": READING, "tenants": READING, "projects": READING}
_VISITOR = {**_SEEN, "clusters": READING | {"proxy"}}
_WORKER = {**_SEEN, "clusters": READING | {"proxy", "use"}}
# Owners see and end the tokens of their service accounts too.
_OWNER = {**_WORKER, "tokens": READING | {"create", "delete"}}
BUILT_IN: dict[str, tuple[set[str], dict[str, set[str]]]] = {
    "hub-admin": ({"hub"}, {"*": {"*"}}),
    "hub-auditor": ({"hub"}, {"*": READING, "clusters": READING | {"proxy"}}),
    "cluster-provisioner": ({"hub", "tenant", "project"}, {**_SEEN, "clusters": READING | {"use"}}),
    "network-admin": ({"tenant", "cluster"}, _VISITOR),
    "cluster-network-admin": ({"cluster"}, _VISITOR),
    "cluster-admin": ({"cluster"}, {**_SEEN, "clusters": READING | {"update", "use", "proxy"}}),
    "cluster-member": ({"cluster"}, _VISITOR),
    "cluster-viewer": ({"cluster"}, _VISITOR),
    "tenant-owner": ({"tenant"}, {**_OWNER, "tenants": READING | {"update"}, "projects": ALL}),
    "project-owner": ({"tenant", "project"}, {**_OWNER, "projects": READING | {"update"}}),
    "project-operator": ({"tenant", "project"}, _WORKER),
    "project-member": ({"tenant", "project"}, _VISITOR),
    "project-viewer": ({"tenant", "project"}, _VISITOR),
    "vm-operator": ({"tenant", "project"}, _VISITOR),
    "vm-console-user": ({"tenant", "project"}, _VISITOR),
}
OWN = {"users": READING, "tokens": READING | {"create", "delete"}}

# Questions asked inside members: API group, resource, verb. Two of a kind differ in the group alone (SEC-34).
QUESTIONS = {
    "p": ("", "pods", "get"),
    "s": ("", "secrets", "get"),
    "d": ("apps", "deployments", "delete"),
    "e": ("extensions", "deployments", "delete"),
    "v": ("subresources.kubevirt.io", "virtualmachines/start", "update"),
    "c": ("subresources.kubevirt.io", "virtualmachineinstances/vnc", "get"),
    "x": ("kubevirt.io", "virtualmachines", "delete"),
    "q": ("", "persistentvolumeclaims", "delete"),
    "n": ("k8s.cni.cncf.io", "network-attachment-definitions", "create"),
    "o": ("", "nodes", "list"),
    "r": ("rbac.authorization.k8s.io", "rolebindings", "create"),
}
READS = set("pso")
VIEW = {"namespace": set("p"), "cluster": set("po")}
# What the built-in roles answer with yes, in a project's namespace and in a cluster of the scope's own.
_EVERYTHING = "".join(QUESTIONS)
ANSWERS = {
    "hub-admin": ("psdvcxq", _EVERYTHING),
    "hub-auditor": ("p", "po"),
    "cluster-provisioner": ("", ""),
    "network-admin": ("p", "pno"),
    "cluster-network-admin": ("p", "pno"),
    "cluster-admin": ("psdvcxq", _EVERYTHING),
    "cluster-member": ("psdvc", "psdvco"),
    "cluster-viewer": ("p", "po"),
    "tenant-owner": ("psdvcxq", _EVERYTHING),
    "project-owner": ("psdvcxq", _EVERYTHING),
    "project-operator": ("psdvcxq", _EVERYTHING),
    "project-member": ("psdvc", "psdvco"),
    "project-viewer": ("p", "po"),
    "vm-operator": ("pv", "pv"),
    "vm-console-user": ("c", "c"),
}
# Those that see all that a viewer sees: for them a token that only reads is a viewer's.
SEE_AS_VIEWERS = set(BUILT_IN) - {
    *("cluster-provisioner", "network-admin", "cluster-network-admin", "vm-operator", "vm-console-user")
}


@dataclass(frozen=True)
class Oracle:
    me: UUID
    bound: tuple[Bound, ...]
    made: Mapping[str, Made]
    token: TokenScope
    now: datetime

    def may(self, verb: str, thing: Thing, verbs: Iterable[str]) -> bool:
        """Whether he may do this to the thing; ``verbs`` are those that there are."""
        if verb not in verbs or not self._token_lets(verb):
            return False
        if self.token.projects is not None and not self.token.projects & thing.projects:
            return False
        if self.token.clusters is not None and not self.token.clusters & thing.clusters:
            return False
        if thing.owner == self.me and verb in OWN.get(thing.kind, set()):
            return True
        ids = {"tenant": thing.tenants, "project": thing.projects, "cluster": thing.clusters}
        return any(
            self._role_has(one, verb, thing.kind) and (one.scope == "hub" or one.where in ids[one.scope])
            for one in self._counting()
        )

    def answers_in_namespace(
        self, cluster: Thing, home: tuple[UUID | None, UUID | None], tenant: UUID, project: UUID
    ) -> set[str]:
        """The questions that a member answers with yes in a namespace of the project there; ``home`` is whose (tenant,
        project) the cluster is as a whole."""
        if not self._reaches(cluster):
            return set()
        said: set[str] = set(self.answers_in_cluster(cluster, home))
        if self.token.projects is None or project in self.token.projects:
            for one in self._proxying():
                if (one.scope, one.where) in (("tenant", tenant), ("project", project)) or one.scope == "hub":
                    said |= self._answers(one.role, "namespace")
        return said

    def answers_in_cluster(self, cluster: Thing, home: tuple[UUID | None, UUID | None]) -> set[str]:
        """The questions that it answers with yes anywhere."""
        tenant, project = home
        if not self._reaches(cluster) or (self.token.projects is not None and project not in self.token.projects):
            return set()
        places = {("hub", None), *(("cluster", id) for id in cluster.clusters)}
        places |= {("tenant", tenant)} if tenant else set()
        places |= {("project", project)} if project else set()
        said: set[str] = set()
        for one in self._proxying():
            if (one.scope, one.where) in places:
                said |= self._answers(one.role, "cluster")
        return said

    def _token_lets(self, verb: str) -> bool:
        if self.token.verbs is not None and verb not in self.token.verbs:
            return False
        return not self.token.read_only or verb in READING or verb == "proxy"

    def _only_reads(self) -> bool:
        verbs = self.token.verbs
        return self.token.read_only or (verbs is not None and not set(verbs) - READING - {"proxy"})

    def _reaches(self, cluster: Thing) -> bool:
        return self._token_lets("proxy") and (
            self.token.clusters is None or bool(self.token.clusters & cluster.clusters)
        )

    def _counting(self) -> Iterator[Bound]:
        """Bindings that count now: not ended, confirmed lately, of a role that may be there and comes to an end."""
        for one in self.bound:
            ended = one.ends is not None and one.ends <= self.now
            stale = not one.is_own and (one.confirmed is None or one.confirmed <= self.now - GROUPS_LAST)
            if ended or stale or self._family(one.role) is None:
                continue
            if one.role in BUILT_IN:
                scopes, tenant = BUILT_IN[one.role][0], None
            else:
                scopes, tenant = set(self.made[one.role].scopes), self.made[one.role].tenant
            if one.scope in scopes and tenant in (None, one.of_tenant):
                yield one

    def _proxying(self) -> Iterator[Bound]:
        return (one for one in self._counting() if self._role_has(one, "proxy", "clusters"))

    def _role_has(self, one: Bound, verb: str, kind: str) -> bool:
        for name in self._family(one.role) or ():
            may = BUILT_IN[name][1] if name in BUILT_IN else self.made[name].may
            for kinds, verbs in may.items():
                if kinds in (kind, "*") and (verb in verbs or "*" in verbs):
                    return True
        return False

    def _family(self, name: str, below: tuple[str, ...] = ()) -> set[str] | None:
        """The role and all that it inherits from; None when that is not as it should be."""
        if name in BUILT_IN:
            return {name}
        if name in below or name not in self.made:
            return None
        family = {name}
        for parent in self.made[name].parents:
            above = self._family(parent, (*below, name))
            if above is None:
                return None
            if parent in self.made and self.made[parent].tenant not in (None, self.made[name].tenant):
                return None
            family |= above
        return family

    def _answers(self, name: str, place: str) -> set[str]:
        said: set[str] = set()
        reading: set[str] = set()
        for one in self._family(name) or ():
            own = set(ANSWERS[one][place == "cluster"]) if one in BUILT_IN else set(self.made[one].letters)
            said |= own
            if one in SEE_AS_VIEWERS and own:
                reading |= VIEW[place]
            elif one in self.made and own <= READS:
                reading |= own
        return reading if self._only_reads() else said
