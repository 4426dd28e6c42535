"""Roles resolved: what each gives with all that it inherits. Pure; whoever decides is given a book.

A role that cannot be resolved (it inherits from itself, from an unknown role, or from another tenant's) gives nothing,
and nobody can be given it (SEC-35).

Inside members a role stands for groups, one for each role whose own rules it takes in: so nothing is aggregated there,
and a role that only inherits needs no object.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hub.federation.rights import PolicyRule

from .built_in_roles import CLUSTER_VIEWER, PROJECT_VIEWER, ROLES
from .permissions import Role, Rule
from .policy_rules import holds, only_reads

LONGEST_CHAIN = 8  # roles above each other; more is refused when it is written, and read as unresolvable


@dataclass(frozen=True, slots=True)
class MemberRights:
    """What a role gives in one kind of place of a member: the roles whose groups stand for it, and their rules together.

    ``reading_keys`` stand for it when its holder came with a token that only reads.
    """

    keys: frozenset[str]
    reading_keys: frozenset[str]
    rules: tuple[PolicyRule, ...]


@dataclass(frozen=True, slots=True)
class ResolvedRole:
    """A role with everything that it inherits.

    ``sources`` are its rules with the role that each comes from. ``in_projects`` is what it gives in the namespaces of
    projects, ``in_clusters`` in whole clusters that belong to the scope.
    """

    role: Role
    sources: tuple[tuple[str, Rule], ...]
    permissions: frozenset[tuple[str, str]]
    in_projects: MemberRights
    in_clusters: MemberRights

    def rule_for(self, verb: str, resource: str) -> str:
        """The rule that permits it, in words; "" when none does."""
        for name, rule in self.sources:
            if (verb, resource) in rule.permissions():
                return f"{rule}" if name == self.role.name else f"{rule} (inherited from {name})"
        return ""


class RoleBook:
    """The built-in roles and these custom ones, each resolved when it is first asked for."""

    def __init__(self, custom: Iterable[Role] = ()) -> None:
        self._roles: dict[str, Role] = {**{role.name: role for role in custom}, **ROLES}
        self._resolved: dict[str, ResolvedRole | None] = {}

    def find(self, key: str) -> ResolvedRole | None:
        """The role of this key; None when there is none, or when it cannot be resolved."""
        if key not in self._resolved:
            chain = self._chain(key)
            self._resolved[key] = self._resolve(self._roles[key], chain) if chain else None
        return self._resolved[key]

    def find_own(self, key: str) -> Role | None:
        """The role of this key as it is written, without what it inherits; None when there is none."""
        return self._roles.get(key)

    def own_rules(self, key: str) -> tuple[PolicyRule, ...]:
        """The rules that the role's ClusterRole has in members; none for an unknown role."""
        role = self._roles.get(key)
        return role.kubernetes if role is not None else ()

    def heirs_of(self, key: str) -> frozenset[str]:
        """The roles that inherit from this one, directly or not."""
        heirs: set[str] = set()
        new = {key}
        while new:
            new = {role.name for role in self._roles.values() if new & set(role.inherits)} - heirs
            heirs |= new
        return frozenset(heirs)

    def _chain(self, key: str) -> list[Role] | None:
        """The role and all that it inherits from, itself first; None when something of it is not as it should be."""
        found: dict[str, Role] = {}
        level = [key]
        for _ in range(LONGEST_CHAIN):
            roles = [self._roles[name] for name in level if name in self._roles]
            if len(roles) < len(level):
                return None
            found |= {role.name: role for role in roles}
            level = list({name: None for role in roles for name in role.inherits})
            if not level:
                return list(found.values()) if self._fits(found) else None
        return None  # a cycle never ends, and a chain that long is none of ours

    @staticmethod
    def _fits(found: Mapping[str, Role]) -> bool:
        """Whether each inherits from roles of everybody or of its own tenant."""
        return all(
            found[parent].tenant_id in (None, role.tenant_id) for role in found.values() for parent in role.inherits
        )

    def _resolve(self, role: Role, chain: list[Role]) -> ResolvedRole:
        sources = tuple((one.name, rule) for one in chain for rule in one.rules)
        return ResolvedRole(
            role,
            sources,
            frozenset().union(*(rule.permissions() for _, rule in sources)),
            self._member_rights({one.in_projects or one.name for one in chain}, PROJECT_VIEWER),
            self._member_rights({one.in_clusters or one.name for one in chain}, CLUSTER_VIEWER),
        )

    def _member_rights(self, keys: set[str], viewer: str) -> MemberRights:
        keys = {key for key in keys if self.own_rules(key)}
        rules = tuple(rule for key in sorted(keys) for rule in self.own_rules(key))
        reading = {key for key in keys if only_reads(self.own_rules(key))}
        if holds(rules, self.own_rules(viewer)):
            reading.add(viewer)
        return MemberRights(frozenset(keys), frozenset(reading), rules)


BUILT_IN = RoleBook()
