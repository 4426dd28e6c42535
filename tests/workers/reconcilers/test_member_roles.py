"""What the roles are worth inside a member, by the member's own answers: a simulated server and a real kube-apiserver."""

import pytest

from hub.federation.clients import credentials_of
from hub.federation.models import Cluster
from hub.federation.rights import project_group
from hub.tenancy.models import Project
from kube.client import KubeClient
from kube.errors import Forbidden
from kube.resources import CONFIG_MAPS, SUBJECT_ACCESS_REVIEWS
from tests.bed.waiting import wait_for
from tests.hub.builders import make_actor, make_namespace, make_project
from tests.simulator.running import LOOPBACK
from tests.workers.reconcilers.members import Member, as_user, ready_cluster, status_of, visit, visit_until

pytestmark = pytest.mark.usefixtures("hub")

ROLES = ("vm-console-user", "vm-operator", "project-viewer", "project-member", "project-operator", "project-owner")
SUBRESOURCES = "subresources.kubevirt.io"

# Verb, group, resource: the roles that may.
TABLE: tuple[tuple[str, str, str, frozenset[str]], ...] = (
    ("get", "kubevirt.io", "virtualmachines", frozenset(ROLES)),
    ("list", "kubevirt.io", "virtualmachineinstances", frozenset(ROLES)),
    ("create", "kubevirt.io", "virtualmachines", frozenset(ROLES[3:])),
    ("update", "kubevirt.io", "virtualmachines", frozenset(ROLES[3:])),
    ("delete", "kubevirt.io", "virtualmachines", frozenset(ROLES[4:])),
    ("update", SUBRESOURCES, "virtualmachines/start", frozenset(ROLES[1:2] + ROLES[3:])),
    ("update", SUBRESOURCES, "virtualmachines/stop", frozenset(ROLES[1:2] + ROLES[3:])),
    ("update", SUBRESOURCES, "virtualmachines/restart", frozenset(ROLES[1:2] + ROLES[3:])),
    ("update", SUBRESOURCES, "virtualmachines/migrate", frozenset(ROLES[1:2] + ROLES[3:])),
    ("update", SUBRESOURCES, "virtualmachineinstances/pause", frozenset(ROLES[1:2] + ROLES[3:])),
    ("get", SUBRESOURCES, "virtualmachineinstances/console", frozenset(ROLES[:1] + ROLES[3:])),
    ("get", SUBRESOURCES, "virtualmachineinstances/vnc", frozenset(ROLES[:1] + ROLES[3:])),
    ("update", SUBRESOURCES, "virtualmachines/addvolume", frozenset(ROLES[3:])),
    ("create", "harvesterhci.io", "virtualmachinebackups", frozenset(ROLES[1:2] + ROLES[3:])),
    ("delete", "harvesterhci.io", "virtualmachinebackups", frozenset(ROLES[4:])),
    ("delete", "", "persistentvolumeclaims", frozenset(ROLES[4:])),
    ("list", "", "secrets", frozenset(ROLES[3:])),
    ("create", "", "pods/exec", frozenset(ROLES[3:])),
    ("list", "", "configmaps", frozenset(ROLES[2:])),
    ("update", "", "resourcequotas", frozenset()),
    ("create", "", "serviceaccounts/token", frozenset()),
    ("create", "rbac.authorization.k8s.io", "rolebindings", frozenset()),
    ("patch", "", "namespaces", frozenset()),
    ("create", "k8s.cni.cncf.io", "network-attachment-definitions", frozenset()),
)


def allowed(member: Member, group: str, namespace: str, verb: str, api_group: str, resource: str) -> bool:
    plural, _, subresource = resource.partition("/")
    asked = {"namespace": namespace, "verb": verb, "group": api_group, "resource": plural, "subresource": subresource}
    spec = {"user": "paddock:user:maria", "groups": [group], "resourceAttributes": asked}
    answer = member.client.create(SUBJECT_ACCESS_REVIEWS, {"spec": spec})
    return bool(answer["status"]["allowed"])


@pytest.fixture
def project() -> Project:
    """A project on which each of the roles is held."""
    made = make_project()
    for role in ROLES:
        make_actor(role, made)
    return made


@pytest.fixture
def place(member: Member, project: Project) -> tuple[Cluster, str]:
    """A cluster and the project's namespace in it, bound."""
    cluster = ready_cluster(member)
    namespace = make_namespace(project, cluster)
    member.made.append(namespace.name)
    visit(cluster)
    visit_until(namespace, lambda: status_of(namespace, "Ready")[0] == "True")
    group = project_group(project.pk, ROLES[-1])
    wait_for(
        "the bindings to take effect",
        lambda: allowed(member, group, namespace.name, "list", "", "configmaps"),
        seconds=10,
    )
    return cluster, namespace.name


def test_the_member_itself_decides_as_the_table_of_roles_says(
    member: Member, project: Project, place: tuple[Cluster, str]
) -> None:
    _, namespace = place
    wrong = [
        f"{role}: {verb} {resource} {'is' if role not in may else 'is not'} allowed"
        for verb, api_group, resource, may in TABLE
        for role in ROLES
        if allowed(member, project_group(project.pk, role), namespace, verb, api_group, resource) != (role in may)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_role_of_a_project_is_worth_anything_in_another_namespace(
    member: Member, project: Project, place: tuple[Cluster, str]
) -> None:
    for verb, api_group, resource, _ in TABLE:
        for role in ROLES:
            group = project_group(project.pk, role)
            assert not allowed(member, group, "default", verb, api_group, resource), f"{role}: {verb} {resource}"


def test_sec39_a_viewers_delete_through_impersonation_is_refused_by_the_member(
    member: Member, project: Project, place: tuple[Cluster, str]
) -> None:
    cluster, namespace = place
    member.client.create(CONFIG_MAPS, {"metadata": {"name": "kept", "namespace": namespace}})
    with as_user(cluster, project_group(project.pk, "project-viewer")) as viewer:
        assert viewer.get(CONFIG_MAPS, "kept", namespace)
        with pytest.raises(Forbidden) as refused:
            viewer.delete(CONFIG_MAPS, "kept", namespace)
    assert 'User "paddock:user:maria" cannot delete' in refused.value.message
    with as_user(cluster, project_group(project.pk, "project-owner")) as owner:
        assert owner.delete(CONFIG_MAPS, "kept", namespace)


def test_a_group_that_is_not_on_the_list_is_refused_as_a_whole(member: Member, place: tuple[Cluster, str]) -> None:
    cluster, namespace = place
    groups = [project_group(make_project().pk, "project-owner")]
    with (
        KubeClient(
            credentials_of(cluster), guard=LOOPBACK, impersonate_user="paddock:user:maria", impersonate_groups=groups
        ) as somebody,
        pytest.raises(Forbidden),
    ):
        somebody.list(CONFIG_MAPS, namespace)
