"""Decision, SQL filter, verbs of a row, and what members are told agree with an independent oracle, over random roles,
groups, bindings that end, and tokens."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.access.grants import decide
from hub.access.models import Role, RoleBinding
from hub.access.permissions import RESOURCES
from hub.access.policy import holdings_of
from hub.access.roles_in_use import cluster_roles_in_use, groups_wanted, member_roles_in_use, project_roles_in_use
from hub.access.snapshot import Principal, groups_for, load_snapshot
from hub.core.access import AccessScope, Actor, TokenScope, can, verbs_on, visible_to
from hub.core.ids import uuid7
from hub.federation.models import Cluster
from hub.federation.rights import PolicyRule, cluster_group, project_group
from hub.identity.actors import actor_of
from hub.identity.models import ExternalIdentity
from tests.hub.access.groups import join, make_group
from tests.hub.access.oracle import BUILT_IN, QUESTIONS, Bound, Made, Oracle, Thing
from tests.hub.access.rbac import rbac_allows
from tests.hub.access.world import World

MADE = ("r0", "r1", "r2")
KINDS = ("clusters", "project-namespaces", "tenants", "projects", "users", "tokens")
VERBS = ("get", "list", "create", "update", "delete", "use", "proxy", "start")
HOUR = timedelta(hours=1)

made_roles = st.fixed_dictionaries(
    {
        "tenant": st.sampled_from([None, 0, 1]),
        "scopes": st.sets(st.sampled_from(["hub", "tenant", "project", "cluster"]), min_size=3),
        "may": st.fixed_dictionaries(
            {"clusters": st.sets(st.sampled_from(["*", "get", "use"])).map(lambda verbs: verbs | {"proxy"})}
        )
        | st.dictionaries(
            st.sampled_from(["*", "clusters", "projects", "tenants", "users"]),
            st.sets(st.sampled_from(["*", "get", "list", "update", "proxy", "delete"]), min_size=1),
            max_size=2,
        ),
        "letters": st.sets(st.sampled_from(["d", "e", *sorted(QUESTIONS)]), min_size=1, max_size=2),
        "parents": st.just([]) | st.lists(st.sampled_from([*3 * MADE, "gone", *sorted(BUILT_IN)]), max_size=1),
    }
)
bindings = st.fixed_dictionaries(
    {
        "role": st.sampled_from([*4 * MADE, *sorted(BUILT_IN)]),
        "holder": st.sampled_from(["me", "g0", "g1"]),
        "scope": st.sampled_from(["hub", "tenant", "project", "cluster"]),
        "index": st.sampled_from([0, 0, 1, 2, 3]),
        "ends": st.sampled_from([None, None, HOUR, -HOUR]),
    }
)
whole_tokens = st.just({"read_only": False, "verbs": None, "projects": None, "clusters": None})
reading_tokens = whole_tokens.map(lambda token: {**token, "read_only": True})
tokens = (
    whole_tokens
    | reading_tokens
    | st.fixed_dictionaries(
        {
            "read_only": st.booleans(),
            "verbs": st.none() | st.none() | st.sets(st.sampled_from(VERBS), min_size=3),
            "projects": st.none() | st.none() | st.sets(st.integers(0, 3), max_size=2),
            "clusters": st.none() | st.none() | st.sets(st.integers(0, 2), max_size=2),
        }
    )
)
cases = st.fixed_dictionaries(
    {
        "made": st.tuples(made_roles, made_roles, made_roles),
        "bindings": st.lists(bindings, min_size=4, max_size=7),
        "confirmed": st.tuples(*[st.sampled_from([HOUR, HOUR, None, 25 * HOUR])] * 2),
        "disabled": st.booleans(),
        "token": tokens,
    }
)


@dataclass
class Case:
    """One random case as rows, and as the oracle has it."""

    world: World
    drawn: dict[str, Any]
    now: datetime

    def __post_init__(self) -> None:
        self.me = self.world.users[0]
        self.clusters = [self.world.shared, self.world.guest, self.world.lonely]
        self.roles = [self._make_role(name, text) for name, text in zip(MADE, self.drawn["made"], strict=True)]
        self._name_parents()
        self.groups = [make_group("/g0"), make_group("/g1")]
        for group, ago in zip(self.groups, self.drawn["confirmed"], strict=True):
            if ago is not None:
                join(self.me, group, ago=ago)
        if self.drawn["disabled"]:
            ExternalIdentity.objects.filter(user=self.me, memberships__group=self.groups[1]).update(
                disabled_at=self.now
            )
        self.bound = tuple(self._bind())
        for cluster in self.clusters:
            Cluster.objects.filter(pk=cluster.pk).update(groups=groups_wanted(cluster))

    @property
    def token(self) -> TokenScope:
        drawn, projects, clusters = self.drawn["token"], self.world.projects, self.clusters
        return TokenScope(
            drawn["read_only"],
            None if drawn["verbs"] is None else frozenset(drawn["verbs"]),
            None if drawn["projects"] is None else frozenset(projects[index].pk for index in drawn["projects"]),
            None if drawn["clusters"] is None else frozenset(clusters[index].pk for index in drawn["clusters"]),
        )

    @property
    def actor(self) -> Actor:
        return replace(actor_of(self.me), token_scope=self.token)

    @property
    def oracle(self) -> Oracle:
        made = {
            name: Made(
                name,
                role.tenant_id,
                frozenset(text["scopes"]),
                {kind: frozenset(verbs) for kind, verbs in text["may"].items()},
                "".join(sorted(text["letters"])),
                tuple(text["parents"]),
            )
            for name, text, role in zip(MADE, self.drawn["made"], self.roles, strict=True)
        }
        return Oracle(self.me.pk, self.bound, made, self.token, self.now)

    def _make_role(self, name: str, text: dict[str, Any]) -> Role:
        return Role.objects.create(
            name=name,
            tenant=None if text["tenant"] is None else self.world.tenants[text["tenant"]],
            scopes=sorted(text["scopes"]),
            rules=[{"resources": [kind], "verbs": sorted(verbs)} for kind, verbs in text["may"].items()],
            kubernetes_rules=[
                {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                for group, resource, verb in (QUESTIONS[letter] for letter in sorted(text["letters"]))
            ],
        )

    def _name_parents(self) -> None:
        keys = {name: role.key for name, role in zip(MADE, self.roles, strict=True)} | {"gone": str(uuid7())}
        for role, text in zip(self.roles, self.drawn["made"], strict=True):
            role.inherits = [keys.get(parent, parent) for parent in text["parents"]]
            role.save(update_fields=["inherits"])

    def _bind(self) -> Iterator[Bound]:
        confirmed = [None if ago is None else self.now - ago for ago in self.drawn["confirmed"]]
        if self.drawn["disabled"]:
            confirmed[1] = None
        seen = set()
        for one in self.drawn["bindings"]:
            place = self._place(one["scope"], one["index"])
            once = (one["role"], one["holder"], one["scope"], *place.values())
            if once in seen:
                continue
            seen.add(once)
            number = None if one["holder"] == "me" else int(one["holder"][1])
            role = self.roles[MADE.index(one["role"])] if one["role"] in MADE else None
            ends = None if one["ends"] is None else self.now + one["ends"]
            binding = RoleBinding.objects.create(
                role=role.key if role else one["role"],
                custom_role=role,
                scope_kind=one["scope"],
                expires_at=ends,
                **({"user": self.me} if number is None else {"group": self.groups[number]}),
                **place,
            )
            yield Bound(
                one["role"],
                one["scope"],
                binding.scope_id,
                binding.tenant_id,
                ends,
                None if number is None else confirmed[number],
                number is None,
            )

    def _place(self, scope: str, index: int) -> dict[str, UUID | None]:
        if scope == "tenant":
            return {"tenant_id": self.world.tenants[index % 2].pk}
        if scope == "project":
            project = self.world.projects[index]
            return {"tenant_id": project.tenant_id, "project_id": project.pk}
        if scope == "cluster":
            cluster = self.clusters[index % 3]
            return {"tenant_id": cluster.tenant_id, "cluster_id": cluster.pk}
        return {}


@pytest.mark.usefixtures("db")
class TestAgreement:
    @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
    @given(drawn=cases)
    def test_sec32_sql_filter_decision_and_verbs_agree_with_the_oracle(self, drawn: dict[str, Any]) -> None:
        with transaction.atomic():
            case = Case(World(), drawn, timezone.now())
            for kind in KINDS:
                _compare_rows(case, kind)
            transaction.set_rollback(True)

    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
    @given(drawn=cases)
    def test_sec34_what_members_are_told_agrees_with_the_oracle(self, drawn: dict[str, Any]) -> None:
        with transaction.atomic():
            case = Case(World(), drawn, timezone.now())
            snapshot = load_snapshot()
            principal = Principal(case.me.pk, "me", uuid7(), case.token, case.now + HOUR)
            for cluster in case.clusters:
                groups = set(groups_for(snapshot, principal, cluster.pk, case.now))
                _compare_member(case, cluster, groups)
            transaction.set_rollback(True)


def _compare_rows(case: Case, kind: str) -> None:
    things = [(row, thing) for row, thing in case.world.things if thing.kind == kind]
    resource, actor, oracle = RESOURCES[kind], case.actor, case.oracle
    model = apps.get_model(str(resource.model))
    rows = list(model._base_manager.filter(pk__in=[row.pk for row, _ in things]))
    told = verbs_on(rows, actor)
    holdings = holdings_of(actor)
    for verb in VERBS:
        wanted = {row.pk for row, thing in things if oracle.may(verb, thing, resource.verbs)}
        seen = list(visible_to(model._base_manager.filter(pk__in=told), actor, verb).values_list("pk", flat=True))
        assert len(seen) == len(set(seen)), "a row came twice"
        assert set(seen) == wanted, (kind, verb, oracle)
        assert {pk for pk, verbs in told.items() if verb in verbs} == wanted, (kind, verb, oracle)
        for _, thing in things:
            if max(len(thing.tenants), len(thing.projects), len(thing.clusters)) > 1 or thing.owner:
                continue  # a decision is about one place
            scope = AccessScope(*(next(iter(ids), None) for ids in (thing.tenants, thing.projects, thing.clusters)))
            decision = decide(holdings, case.token, verb, kind, scope, case.now)
            assert decision.allowed == oracle.may(verb, thing, resource.verbs), (decision, oracle)
    assert can(actor, "get", kind).allowed == decide(holdings, case.token, "get", kind, AccessScope(), case.now).allowed


def _compare_member(case: Case, cluster: Cluster, groups: set[str]) -> None:
    """Plays the member: its roles and bindings as the reconcilers write them, asked as these groups."""
    oracle = case.oracle
    thing = next(thing for row, thing in case.world.things if row.pk == cluster.pk)
    home = (cluster.tenant_id, cluster.project_id)
    roles = member_roles_in_use(cluster)
    everywhere = _rules_of(
        groups, {cluster_group(cluster.pk, key): key for key in cluster_roles_in_use(cluster)}, roles
    )
    assert _yes(everywhere) == oracle.answers_in_cluster(thing, home), oracle
    by_the_hub = any(one.scope == "hub" for one in case.bound) and case.token.projects is not None
    for namespace in (one for one in case.world.namespaces if one.cluster_id == cluster.pk):
        keys = project_roles_in_use(namespace.project_id, namespace.tenant_id)
        bound = _rules_of(groups, {project_group(namespace.project_id, key): key for key in keys}, roles)
        said = _yes([*everywhere, *bound])
        wanted = oracle.answers_in_namespace(thing, home, namespace.tenant_id, namespace.project_id)
        # Who has the hub and came with a token for a project has in it what is in use there, and never more.
        assert said <= wanted if by_the_hub else said == wanted, oracle


def _rules_of(groups: set[str], key_of: dict[str, str], roles: dict[str, tuple[PolicyRule, ...]]) -> list[PolicyRule]:
    return [rule for group in groups & key_of.keys() for rule in roles[key_of[group]]]


def _yes(rules: list[PolicyRule]) -> set[str]:
    return {letter for letter, question in QUESTIONS.items() if rbac_allows(rules, *question)}


def test_sec34_the_oracle_itself_tells_two_api_groups_apart() -> None:
    """A judge that could not would let everything pass that cannot either."""
    confused = [replace(rule, group="*") for rule in (PolicyRule("apps", ("deployments",), ("delete",)),)]
    assert _yes(confused) == {"d", "e"}
    made = {"r": Made("r", None, frozenset({"hub"}), {"clusters": frozenset({"proxy"})}, "d")}
    oracle = Oracle(uuid7(), (Bound("r", "hub", None),), made, TokenScope(), timezone.now())
    assert oracle.answers_in_cluster(Thing("clusters", clusters=frozenset({uuid7()})), (None, None)) == {"d"}
