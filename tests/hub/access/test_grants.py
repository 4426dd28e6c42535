"""Which groups stand for somebody inside a member cluster."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from hub.access.grants import BindingFact, ClusterFacts, member_groups, permits_verb, reads_only
from hub.core.access import TokenScope
from hub.core.ids import uuid7
from hub.federation.rights import cluster_group, project_group

CLUSTER, TENANT, PROJECT, OTHER = (uuid7() for _ in range(4))
EVERY_GROUP = frozenset(
    [cluster_group(CLUSTER, role) for role in ("admin", "viewer")]
    + [project_group(project, role) for project in (PROJECT, OTHER) for role in ("admin", "viewer")]
)
GUEST = ClusterFacts(TENANT, PROJECT, groups=EVERY_GROUP)
SHARED = ClusterFacts(None, None, ((PROJECT, TENANT), (OTHER, uuid7())), EVERY_GROUP)
ADMIN = BindingFact("hub-admin", "hub")
OWNER = BindingFact("tenant-owner", "tenant", TENANT)
VIEWER = BindingFact("project-viewer", "project", PROJECT)


def groups(
    binding: BindingFact, cluster: ClusterFacts, token: TokenScope | None = None, id: UUID = CLUSTER
) -> list[str]:
    return member_groups([binding], token or TokenScope(), id, cluster)


def test_an_administrator_of_the_hub_has_the_whole_of_every_cluster() -> None:
    assert groups(ADMIN, GUEST) == groups(ADMIN, SHARED) == [cluster_group(CLUSTER, "admin")]


def test_a_tenants_owner_has_the_whole_of_the_tenants_own_clusters() -> None:
    assert groups(OWNER, GUEST) == [cluster_group(CLUSTER, "admin")]


def test_in_a_shared_cluster_he_has_his_own_projects_only() -> None:
    assert groups(OWNER, SHARED) == [project_group(PROJECT, "admin")]


def test_a_viewer_views() -> None:
    assert groups(VIEWER, GUEST) == [cluster_group(CLUSTER, "viewer")]
    assert groups(VIEWER, SHARED) == [project_group(PROJECT, "viewer")]


def test_a_stranger_has_nothing() -> None:
    for binding in (BindingFact("tenant-owner", "tenant", uuid7()), BindingFact("project-viewer", "project", uuid7())):
        assert groups(binding, GUEST) == groups(binding, SHARED) == []


def test_two_bindings_add_up() -> None:
    both = [OWNER, BindingFact("project-viewer", "project", OTHER)]
    assert member_groups(both, TokenScope(), CLUSTER, SHARED) == sorted(
        [project_group(PROJECT, "admin"), project_group(OTHER, "viewer")]
    )


def test_a_group_that_the_member_does_not_let_us_send_yet_is_left_out() -> None:
    new = ClusterFacts(TENANT, PROJECT, groups=frozenset())
    assert groups(ADMIN, new) == []


def test_a_read_only_token_comes_as_a_viewer() -> None:
    assert groups(ADMIN, GUEST, TokenScope(read_only=True)) == [cluster_group(CLUSTER, "viewer")]
    verbs = frozenset({"get", "list", "proxy"})
    assert groups(OWNER, SHARED, TokenScope(verbs=verbs)) == [project_group(PROJECT, "viewer")]


def test_a_token_without_the_verb_proxy_reaches_no_cluster() -> None:
    assert groups(ADMIN, GUEST, TokenScope(verbs=frozenset({"get", "list", "create"}))) == []


def test_sec17_a_token_for_one_cluster_does_not_open_another() -> None:
    token = TokenScope(clusters=frozenset({CLUSTER}))
    assert groups(ADMIN, GUEST, token) == [cluster_group(CLUSTER, "admin")]
    assert groups(ADMIN, GUEST, token, id=uuid7()) == []


def test_a_token_for_one_project_opens_that_project_of_a_shared_cluster() -> None:
    token = TokenScope(projects=frozenset({PROJECT}))
    assert groups(ADMIN, SHARED, token) == [project_group(PROJECT, "admin")]
    assert groups(OWNER, GUEST, token) == [cluster_group(CLUSTER, "admin")]
    assert groups(ADMIN, SHARED, TokenScope(projects=frozenset())) == []


facts = st.builds(
    BindingFact,
    role=st.sampled_from(["hub-admin", "tenant-owner", "project-viewer", "system:masters", ""]),
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
    given_groups = member_groups(bindings, token, CLUSTER, cluster)
    assert set(given_groups) <= EVERY_GROUP
    assert given_groups == sorted(set(given_groups))


@given(st.lists(facts, max_size=4), tokens, st.sampled_from([GUEST, SHARED]))
def test_a_token_never_gives_a_write_that_its_owner_does_not_have(
    bindings: list[BindingFact], token: TokenScope, cluster: ClusterFacts
) -> None:
    whole = member_groups(bindings, TokenScope(), CLUSTER, cluster)
    narrowed = member_groups(bindings, token, CLUSTER, cluster)
    writes = {group for group in narrowed if group.endswith(":admin")}
    # The whole cluster's group holds its projects too.
    assert writes <= set(whole) or cluster_group(CLUSTER, "admin") in whole
    if reads_only(token):
        assert not writes


@given(tokens)
def test_reading_is_all_that_a_read_only_token_does(token: TokenScope) -> None:
    if token.read_only:
        assert not any(permits_verb(token, verb) for verb in ("create", "update", "delete", "use"))
