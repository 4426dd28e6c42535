"""Role-based access control: rules, who has them, and the check that nobody hands out more than he holds."""

from collections.abc import Iterable
from dataclasses import dataclass

from kube import resources
from kube.resources import Object
from simulator.apiserver.identity import MASTERS_GROUP, User, service_account_of
from simulator.apiserver.requests import RequestInfo
from simulator.apiserver.storage import Store
from simulator.kinds import KindSpec

_KINDS = (resources.ROLES, resources.CLUSTER_ROLES, resources.ROLE_BINDINGS, resources.CLUSTER_ROLE_BINDINGS)
_ALL = frozenset("*")


@dataclass(frozen=True, slots=True)
class Rule:
    """One ``PolicyRule``."""

    verbs: frozenset[str]
    groups: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, rule: Object) -> "Rule":
        fields = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
        return cls(*(frozenset(rule.get(field) or ()) for field in fields))

    def allows(self, request: RequestInfo) -> bool:
        if not _has(self.verbs, request.verb):
            return False
        if not request.is_resource:
            return any(_path_fits(path, request.path) for path in self.paths)
        if not _has(self.groups, request.group) or not self._names_resource(request.resource, request.subresource):
            return False
        return not self.names or request.name in self.names

    def covers(self, other: "Rule") -> bool:
        """Whether every single right of ``other`` is one of this rule's; ``other`` has been broken down."""
        if other.paths:
            return _holds(self.verbs, other.verbs) and all(
                any(_path_covers(mine, path) for mine in self.paths) for path in other.paths
            )
        return (
            _holds(self.verbs, other.verbs)
            and _holds(self.groups, other.groups)
            and all(self._covers_resource(resource) for resource in other.resources)
            and (not self.names or (bool(other.names) and other.names <= self.names))
        )

    def breakdown(self) -> Iterable["Rule"]:
        """The rule as single rights: one verb, group, resource and name each."""
        for verb in self.verbs:
            for path in self.paths:
                yield Rule(frozenset([verb]), paths=frozenset([path]))
            for group in self.groups:
                for resource in self.resources:
                    for name in self.names or [""]:
                        names = frozenset([name]) if name else frozenset()
                        yield Rule(frozenset([verb]), frozenset([group]), frozenset([resource]), names)

    def _names_resource(self, resource: str, subresource: str) -> bool:
        wanted = f"{resource}/{subresource}" if subresource else resource
        return bool(self.resources & {"*", wanted}) or (bool(subresource) and f"*/{subresource}" in self.resources)

    def _covers_resource(self, resource: str) -> bool:
        if self.resources & {"*", resource}:
            return True
        _, slash, subresource = resource.partition("/")
        return bool(slash) and f"*/{subresource}" in self.resources


@dataclass(frozen=True, slots=True)
class Grant:
    """Rules given to a subject in one namespace, or everywhere (``namespace`` "")."""

    namespace: str
    rules: tuple[Rule, ...]
    origin: str


class Rbac:
    """Answers from the roles and bindings of a store; what they say is compiled anew when one of them changed."""

    def __init__(self, store: Store, kinds: Iterable[KindSpec]) -> None:
        by_resource = {kind.resource: kind for kind in kinds}
        self._kinds = {resource: by_resource[resource] for resource in _KINDS}
        self._store = store
        self._compiled: tuple[int, ...] = ()
        self._grants: dict[tuple[str, str], list[Grant]] = {}

    def reason(self, user: User, request: RequestInfo) -> str | None:
        """Why the request is allowed, None when it is not."""
        if MASTERS_GROUP in user.groups:
            return ""
        for grant in self._grants_of(user):
            if grant.namespace and (not request.is_resource or grant.namespace != request.namespace):
                continue
            if any(rule.allows(request) for rule in grant.rules):
                return f"RBAC: allowed by {grant.origin}"
        return None

    def rules_of(self, user: User, namespace: str) -> list[Rule]:
        """All rules that hold for the user in a namespace ("": cluster-wide only)."""
        if MASTERS_GROUP in user.groups:
            return [Rule(_ALL, _ALL, _ALL), Rule(_ALL, paths=_ALL)]
        return [rule for grant in self._grants_of(user) if grant.namespace in ("", namespace) for rule in grant.rules]

    def missing(self, user: User, namespace: str, rules: Iterable[Rule]) -> list[Rule]:
        """Single rights among ``rules`` that the user does not hold himself."""
        held = self.rules_of(user, namespace)
        wanted = (right for rule in rules for right in rule.breakdown())
        return [right for right in wanted if not any(rule.covers(right) for rule in held)]

    def referenced_rules(self, binding: Object) -> tuple[Rule, ...] | None:
        """The rules that a binding gives, None when its role does not exist."""
        reference = binding["roleRef"]
        if reference["kind"] == "Role":
            kind, namespace = self._kinds[resources.ROLES], binding["metadata"].get("namespace", "")
        else:
            kind, namespace = self._kinds[resources.CLUSTER_ROLES], ""
        stored = self._store.collection(kind).find(namespace, reference["name"])
        return None if stored is None else parse_rules(stored.object)

    def _grants_of(self, user: User) -> Iterable[Grant]:
        self._compile()
        keys = [("User", user.name), *(("Group", group) for group in user.groups)]
        account = service_account_of(user.name)
        if account:
            keys.append(("ServiceAccount", ":".join(account)))
        for key in keys:
            yield from self._grants.get(key, ())

    def _compile(self) -> None:
        collections = [self._store.collection(kind) for kind in self._kinds.values()]
        seen = tuple(collection.revision for collection in collections)
        if seen == self._compiled:
            return
        self._grants = {}
        for resource in (resources.ROLE_BINDINGS, resources.CLUSTER_ROLE_BINDINGS):
            for stored in self._store.collection(self._kinds[resource]).list():
                self._compile_binding(stored.object)
        self._compiled = seen

    def _compile_binding(self, binding: Object) -> None:
        rules = self.referenced_rules(binding)
        if not rules:
            return
        namespace = binding["metadata"].get("namespace", "")
        origin = f'{binding["kind"]} "{binding["metadata"]["name"]}"'
        for subject in binding.get("subjects") or []:
            name = subject["name"]
            if subject["kind"] == "ServiceAccount":
                name = f"{subject.get('namespace') or namespace}:{name}"
            self._grants.setdefault((subject["kind"], name), []).append(Grant(namespace, rules, origin))


def parse_rules(role: Object) -> tuple[Rule, ...]:
    """The rules of a Role or ClusterRole."""
    return tuple(Rule.parse(rule) for rule in role.get("rules") or ())


def _has(allowed: frozenset[str], value: str) -> bool:
    return value in allowed or "*" in allowed


def _holds(mine: frozenset[str], others: frozenset[str]) -> bool:
    return "*" in mine or others <= mine


def _path_fits(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def _path_covers(mine: str, wanted: str) -> bool:
    return mine == wanted or (mine.endswith("*") and wanted.rstrip("*").startswith(mine[:-1]))
