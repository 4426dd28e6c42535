"""Which groups stand for somebody inside a member cluster."""

from datetime import timedelta
from uuid import UUID

from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from hub.access.built_in_roles import ROLES
from hub.access.grants import BindingFact, ClusterFacts, Holdings, member_groups, permits_verb, reads_only
from hub.core.access import TokenScope
from hub.core.ids import uuid7
from hub.federation.rights import cluster_group, project_group, shared_group

NOW = timezone.now()
CLUSTER, TENANT, PROJECT, OTHER = (uuid7() for _ in range(4))
SHARE = shared_group(CLUSTER)
EVERY_GROUP = frozenset(
    [SHARE, *(cluster_group(CLUSTER, key) for key in ROLES)]
    + [project_group(project, key) for project in (PROJECT, OTHER) for key in ROLES]
)
GUEST = ClusterFacts(TENANT, PROJECT, groups=EVERY_GROUP)
SHARED = ClusterFacts(None, None, {PROJECT: TENANT, OTHER: uuid7()}, EVERY_GROUP)
ADMIN = BindingFact("hub-admin", "hub")
OWNER = BindingFact("tenant-owner", "tenant", TENANT)
VIEWER = BindingFact("project-viewer", "project", PROJECT)
MEMBER = BindingFact("project-member", "project", PROJECT)


def every_group(
    bindings: list[BindingFact], cluster: ClusterFacts, token: TokenScope | None = None, id: UUID = CLUSTER
) -> list[str]:
    return member_groups([Holdings(bindings)], token or TokenScope(), id, cluster, NOW)


def groups(
    binding: BindingFact, cluster: ClusterFacts, token: TokenScope | None = None, id: UUID = CLUSTER
) -> list[str]:
    """The groups of roles; that of everybody who may reach the cluster comes with any of them."""
    found = every_group([binding], cluster, token, id)
    assert (SHARE in found) == bool(found)
    return [group for group in found if group != SHARE]


def test_an_administrator_of_the_hub_has_the_whole_of_every_cluster() -> None:
    assert groups(ADMIN, GUEST) == groups(ADMIN, SHARED) == [cluster_group(CLUSTER, "cluster-admin")]


def test_a_tenants_owner_has_the_whole_of_the_tenants_own_clusters() -> None:
    assert groups(OWNER, GUEST) == [cluster_group(CLUSTER, "cluster-admin")]


def test_in_a_shared_cluster_he_has_his_own_projects_only() -> None:
    assert groups(OWNER, SHARED) == [project_group(PROJECT, "tenant-owner")]


def test_a_viewer_views() -> None:
    assert groups(VIEWER, GUEST) == [cluster_group(CLUSTER, "cluster-viewer")]
    assert groups(VIEWER, SHARED) == [project_group(PROJECT, "project-viewer")]


def test_each_role_has_groups_of_its_own() -> None:
    assert groups(MEMBER, SHARED) == [project_group(PROJECT, "project-member")]
    console = BindingFact("vm-console-user", "project", PROJECT)
    assert groups(console, SHARED) == [project_group(PROJECT, "vm-console-user")]
    assert groups(console, GUEST) == [cluster_group(CLUSTER, "vm-console-user")]


def test_a_role_without_rights_in_members_has_no_group() -> None:
    assert groups(BindingFact("cluster-provisioner", "tenant", TENANT), GUEST) == []


def test_a_stranger_has_nothing() -> None:
    for binding in (BindingFact("tenant-owner", "tenant", uuid7()), BindingFact("project-viewer", "project", uuid7())):
        assert groups(binding, GUEST) == groups(binding, SHARED) == []


def test_two_bindings_add_up() -> None:
    both = [OWNER, BindingFact("project-viewer", "project", OTHER)]
    assert every_group(both, SHARED) == sorted(
        [project_group(PROJECT, "tenant-owner"), project_group(OTHER, "project-viewer"), SHARE]
    )


def test_what_a_user_and_his_groups_hold_adds_up() -> None:
    found = member_groups([Holdings([VIEWER]), Holdings([MEMBER])], TokenScope(), CLUSTER, SHARED, NOW)
    assert found == sorted([project_group(PROJECT, "project-viewer"), project_group(PROJECT, "project-member"), SHARE])


def test_a_group_that_the_member_does_not_let_us_send_yet_is_left_out() -> None:
    new = ClusterFacts(TENANT, PROJECT, groups=frozenset())
    assert groups(ADMIN, new) == []


def test_sec36_a_binding_that_has_ended_gives_nothing_from_that_moment_on() -> None:
    ends = BindingFact("project-viewer", "project", PROJECT, ends_at=NOW + timedelta(seconds=1))
    held = [Holdings([ends])]
    assert member_groups(held, TokenScope(), CLUSTER, SHARED, NOW) != []
    assert member_groups(held, TokenScope(), CLUSTER, SHARED, NOW + timedelta(seconds=1)) == []


def test_a_read_only_token_comes_as_a_viewer() -> None:
    assert groups(ADMIN, GUEST, TokenScope(read_only=True)) == [cluster_group(CLUSTER, "cluster-viewer")]
    assert groups(MEMBER, SHARED, TokenScope(read_only=True)) == [project_group(PROJECT, "project-viewer")]
    assert groups(MEMBER, GUEST, TokenScope(read_only=True)) == [cluster_group(CLUSTER, "cluster-viewer")]
    verbs = frozenset({"get", "list", "proxy"})
    assert groups(OWNER, SHARED, TokenScope(verbs=verbs)) == [project_group(PROJECT, "project-viewer")]


def test_sec39_a_read_only_token_gives_no_view_that_its_owners_role_does_not_have() -> None:
    for role in ("vm-operator", "vm-console-user"):
        binding = BindingFact(role, "project", PROJECT)
        assert groups(binding, SHARED, TokenScope(read_only=True)) == []


def test_a_token_that_names_one_more_verb_than_reading_comes_with_its_owner_s_groups() -> None:
    """The rest of what it leaves out is refused by the stream server, verb by verb."""
    verbs = frozenset({"get", "list", "proxy", "start"})
    assert groups(ADMIN, GUEST, TokenScope(verbs=verbs)) == groups(ADMIN, GUEST)


def test_a_token_without_the_verb_proxy_reaches_no_cluster() -> None:
    assert groups(ADMIN, GUEST, TokenScope(verbs=frozenset({"get", "list", "create"}))) == []


def test_sec17_a_token_for_one_cluster_does_not_open_another() -> None:
    token = TokenScope(clusters=frozenset({CLUSTER}))
    assert groups(ADMIN, GUEST, token) == [cluster_group(CLUSTER, "cluster-admin")]
    assert groups(ADMIN, GUEST, token, id=uuid7()) == []


def test_a_token_for_one_project_opens_that_project_of_a_shared_cluster() -> None:
    token = TokenScope(projects=frozenset({PROJECT}))
    assert groups(ADMIN, SHARED, token) == [project_group(PROJECT, "project-owner")]
    assert groups(OWNER, GUEST, token) == [cluster_group(CLUSTER, "cluster-admin")]
    assert groups(ADMIN, SHARED, TokenScope(projects=frozenset())) == []


def test_a_token_for_one_project_opens_no_other_of_a_cluster_of_that_project() -> None:
    home = ClusterFacts(TENANT, PROJECT, {OTHER: TENANT}, EVERY_GROUP)
    elsewhere = BindingFact("project-viewer", "project", OTHER)
    assert groups(elsewhere, home) == [project_group(OTHER, "project-viewer")]
    assert groups(elsewhere, home, TokenScope(projects=frozenset({PROJECT}))) == []


facts = st.builds(
    BindingFact,
    role=st.sampled_from([*ROLES, "system:masters", ""]),
    scope_kind=st.sampled_from(["hub", "tenant", "project", "cluster"]),
    scope_id=st.sampled_from([None, TENANT, PROJECT, OTHER, CLUSTER]),
)
tokens = st.builds(
    TokenScope,
    read_only=st.booleans(),
    verbs=st.none() | st.frozensets(st.sampled_from(["get", "proxy", "delete"])),
    projects=st.none() | st.frozensets(st.sampled_from([PROJECT, OTHER])),
    clusters=st.none() | st.frozensets(st.sampled_from([CLUSTER])),
)


@given(st.lists(facts, max_size=4), tokens, st.sampled_from([GUEST, SHARED]))
def test_sec50_no_binding_and_no_token_ever_gives_a_group_of_kubernetes_own(
    bindings: list[BindingFact], token: TokenScope, cluster: ClusterFacts
) -> None:
    given_groups = every_group(bindings, cluster, token)
    assert set(given_groups) <= EVERY_GROUP
    assert given_groups == sorted(set(given_groups))


@given(st.lists(facts, max_size=4), tokens, st.sampled_from([GUEST, SHARED]))
def test_a_token_never_gives_a_write_that_its_owner_does_not_have(
    bindings: list[BindingFact], token: TokenScope, cluster: ClusterFacts
) -> None:
    whole = every_group(bindings, cluster)
    narrowed = every_group(bindings, cluster, token)
    viewers = {group for group in narrowed if group.endswith("-viewer")}
    if reads_only(token):
        assert set(narrowed) <= viewers | {SHARE}
    # The groups of the whole cluster hold its projects too.
    assert set(narrowed) <= {*whole, *viewers} or any(group.startswith("paddock:cluster:") for group in whole)


@given(tokens)
def test_reading_is_all_that_a_read_only_token_does(token: TokenScope) -> None:
    if token.read_only:
        assert not any(permits_verb(token, verb) for verb in ("create", "update", "delete", "use"))
