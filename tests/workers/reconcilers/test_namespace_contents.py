"""In a project's namespace: the machines' account with its token, and the quota; on a simulated server and on a real one."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from hub.allowances.models import Quota
from hub.core.models import HubIdentity
from hub.federation import observation, rights
from hub.federation.clients import ClusterUnavailable, client_for, machine_client_for
from hub.federation.models import Cluster, ProjectNamespace
from hub.federation.observation import REQUIRED_GROUPS
from hub.federation.rights import MACHINE_ACCOUNT
from hub.provisioning.drivers import open_machine_driver
from kube.client import KubeClient
from kube.errors import Forbidden, Unauthorized
from kube.resources import (
    LIMIT_RANGES,
    NETWORK_ATTACHMENT_DEFINITIONS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICE_ACCOUNTS,
    VIRTUAL_MACHINE_IMAGES,
    VIRTUAL_MACHINE_INSTANCE_MIGRATIONS,
    VIRTUAL_MACHINES,
    Object,
    Resource,
)
from node_driver.types import MachineRef, Owner
from tests.hub.builders import make_namespace, make_project
from tests.node_driver.harvester.bench import build_image, build_network
from tests.node_driver.harvester.orders import build_order
from tests.workers.reconcilers.members import Member, ready_cluster, status_of, visit, visit_until, wait_until_allowed

IMAGE_NAME = build_image()["metadata"]["name"]

pytestmark = pytest.mark.usefixtures("hub")


@pytest.fixture
def infrastructure(member: Member, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A Harvester; on the real server nobody serves KubeVirt's subresources, whose rights can be asked for all the same."""
    if member.simulated is None:
        groups = [group for group in REQUIRED_GROUPS["harvester"] if group != "subresources.kubevirt.io"]
        monkeypatch.setattr(observation, "REQUIRED_GROUPS", {**REQUIRED_GROUPS, "harvester": groups})
    return ready_cluster(member, "harvester")


@pytest.fixture
def namespace(member: Member, infrastructure: Cluster) -> ProjectNamespace:
    """A project's namespace on a Harvester, Ready."""
    row = make_namespace(make_project(), infrastructure)
    member.made.append(row.name)
    visit_until(row, lambda: status_of(row, "Ready")[0] == "True")
    return ProjectNamespace.objects.select_related("cluster").get(pk=row.pk)


def may(client: KubeClient, verb: str, group: str, resource: str, namespace: str | None) -> bool:
    plural, _, subresource = resource.partition("/")
    return client.can_i(verb, Resource(group, "v1", plural, plural), namespace, subresource=subresource or None)


class TestMachineAccount:
    def test_machines_are_made_by_it_and_not_by_the_hubs_account(self, namespace: ProjectNamespace) -> None:
        machines, hub_client = machine_client_for(namespace), client_for(namespace.cluster)
        wait_until_allowed(lambda: machines.list(VIRTUAL_MACHINES, namespace.name))
        for rule in rights.MACHINE_RULES:
            for resource in rule.resources:
                for verb in rule.verbs:
                    assert may(machines, verb, rule.group, resource, namespace.name), f"{verb} {resource}"
                    assert not may(machines, verb, rule.group, resource, "default"), f"{verb} {resource}"
                    if verb not in rights.READ:
                        assert not may(hub_client, verb, rule.group, resource, namespace.name), f"{verb} {resource}"
        assert hub_client.can_i("list", VIRTUAL_MACHINES)
        assert not hub_client.can_i("get", SECRETS, namespace.name)
        for refused in (
            lambda: machines.list(VIRTUAL_MACHINES),
            lambda: machines.request_token(namespace.name, MACHINE_ACCOUNT, 600),
            lambda: machines.delete(SERVICE_ACCOUNTS, MACHINE_ACCOUNT, namespace.name),
        ):
            with pytest.raises(Forbidden):
                refused()

    def test_the_driver_makes_and_removes_a_machine_with_its_token(
        self, member: Member, namespace: ProjectNamespace
    ) -> None:
        """The image and the network lie in another namespace: they are looked up by the hub's own account."""
        image, network = build_image(), build_network()
        member.client.create(VIRTUAL_MACHINE_IMAGES, image)
        if not member.client.get(VIRTUAL_MACHINE_IMAGES, IMAGE_NAME, "default").get("status"):
            status = {"status": image["status"]}
            member.client.patch(VIRTUAL_MACHINE_IMAGES, IMAGE_NAME, status, "default", subresource="status")
        member.client.create(NETWORK_ATTACHMENT_DEFINITIONS, network)
        driver = open_machine_driver("harvester", namespace)
        wait_until_allowed(lambda: machine_client_for(namespace).list(SECRETS, namespace.name))
        hub_id = str(HubIdentity.objects.get().hub_id)
        assert driver.list_owned(namespace.name, hub_id) == []
        ref = MachineRef(namespace.name, "c1-pool1-abcde", Owner(hub_id, 1, "machine-1", "tenant-1"))
        driver.create(build_order(ref=ref))
        assert [view.ref.name for view in driver.list_owned(namespace.name, hub_id)] == ["c1-pool1-abcde"]
        driver.forget_bootstrap(ref)
        driver.delete(ref)
        member.client.delete(VIRTUAL_MACHINE_IMAGES, IMAGE_NAME, "default")
        member.client.delete(NETWORK_ATTACHMENT_DEFINITIONS, network["metadata"]["name"], "default")

    def test_no_pod_gets_its_token_unasked(self, member: Member, namespace: ProjectNamespace) -> None:
        account = member.client.get(SERVICE_ACCOUNTS, MACHINE_ACCOUNT, namespace.name)
        assert account["automountServiceAccountToken"] is False

    def test_its_token_is_sealed_lives_an_hour_and_is_renewed_at_half_of_it(self, namespace: ProjectNamespace) -> None:
        first = namespace.machine_token.reveal()
        assert first not in str(ProjectNamespace.objects.values().get(pk=namespace.pk))
        assert namespace.machine_token_expires_at is not None
        assert namespace.machine_token_renew_at is not None
        left = namespace.machine_token_expires_at - timezone.now()
        assert timedelta(minutes=50) < left < timedelta(minutes=70)
        assert abs(namespace.machine_token_renew_at - (timezone.now() + left / 2)) < timedelta(minutes=1)
        visit(namespace)
        assert namespace.machine_token.reveal() == first
        ProjectNamespace.objects.update(machine_token_renew_at=timezone.now())
        visit(namespace)
        assert namespace.machine_token.reveal() != first
        assert namespace.machine_token_renew_at > timezone.now()

    def test_a_token_that_ended_opens_nothing_and_says_so(self, namespace: ProjectNamespace) -> None:
        namespace.machine_token_expires_at = timezone.now()
        with pytest.raises(ClusterUnavailable) as refused:
            open_machine_driver("harvester", namespace)
        assert refused.value.reason == "NoMachineAccount"

    def test_an_account_that_somebody_deleted_is_made_anew_with_a_new_token(
        self, member: Member, namespace: ProjectNamespace
    ) -> None:
        old = namespace.machine_token.reveal()
        member.client.delete(SERVICE_ACCOUNTS, MACHINE_ACCOUNT, namespace.name)
        with pytest.raises(Unauthorized):
            wait_until_refused(lambda: machine_client_for(namespace).list(VIRTUAL_MACHINES, namespace.name))
        visit(namespace)
        assert namespace.machine_token.reveal() != old
        assert machine_client_for(namespace).list(VIRTUAL_MACHINES, namespace.name) == []

    def test_a_plain_cluster_has_none(self, member: Member) -> None:
        row = make_namespace(make_project(), ready_cluster(member))
        member.made.append(row.name)
        visit_until(row, lambda: status_of(row, "Ready")[0] == "True")
        assert not row.machine_token
        assert member.client.find(SERVICE_ACCOUNTS, MACHINE_ACCOUNT, row.name) is None


class TestQuota:
    def limit(self, namespace: ProjectNamespace, **limits: int) -> None:
        Quota.objects.update_or_create(
            tenant_id=namespace.tenant_id, project_id=namespace.project_id, cluster=None, defaults={"limits": limits}
        )

    def quota(self, member: Member, namespace: ProjectNamespace) -> Object | None:
        return member.client.find(RESOURCE_QUOTAS, rights.QUOTA, namespace.name)

    def hard(self, member: Member, namespace: ProjectNamespace) -> dict[str, str]:
        found = self.quota(member, namespace)
        assert found is not None
        return dict(found["spec"]["hard"])

    def test_it_is_pushed_followed_and_taken_away(self, member: Member, namespace: ProjectNamespace) -> None:
        assert self.quota(member, namespace) is None
        self.limit(namespace, cpu=8, vms=4)
        visit(namespace)
        assert self.hard(member, namespace) == {"limits.cpu": "8", "count/virtualmachines.kubevirt.io": "4"}
        (defaults,) = member.client.get(LIMIT_RANGES, rights.QUOTA, namespace.name)["spec"]["limits"]
        assert (defaults["type"], defaults["default"]["cpu"]) == ("Container", "500m")
        self.limit(namespace, vms=2)
        visit(namespace)
        assert self.hard(member, namespace) == {"count/virtualmachines.kubevirt.io": "2"}
        assert member.client.find(LIMIT_RANGES, rights.QUOTA, namespace.name) is None
        Quota.objects.all().delete()
        visit(namespace)
        assert self.quota(member, namespace) is None

    def test_a_change_by_hand_is_put_right_and_others_quotas_stay(
        self, member: Member, namespace: ProjectNamespace
    ) -> None:
        theirs = {"metadata": {"name": "theirs", "namespace": namespace.name}, "spec": {"hard": {"pods": "3"}}}
        member.client.create(RESOURCE_QUOTAS, theirs)
        self.limit(namespace, vms=4)
        visit(namespace)
        change = {"spec": {"hard": {"count/virtualmachines.kubevirt.io": "400"}}}
        member.client.patch(RESOURCE_QUOTAS, rights.QUOTA, change, namespace.name)
        visit(namespace)
        assert self.hard(member, namespace) == {"count/virtualmachines.kubevirt.io": "4"}
        assert member.client.get(RESOURCE_QUOTAS, "theirs", namespace.name)["spec"]["hard"] == {"pods": "3"}

    def test_a_planted_quota_with_our_label_goes(self, member: Member, namespace: ProjectNamespace) -> None:
        labels = {"paddock.io/hub-id": str(HubIdentity.objects.get().hub_id)}
        metadata = {"name": "stray", "namespace": namespace.name, "labels": labels}
        member.client.create(RESOURCE_QUOTAS, {"metadata": metadata, "spec": {"hard": {"pods": "0"}}})
        visit(namespace)
        assert member.client.find(RESOURCE_QUOTAS, "stray", namespace.name) is None

    def test_one_of_our_name_that_is_not_ours_is_told_and_left(
        self, member: Member, namespace: ProjectNamespace
    ) -> None:
        metadata = {"name": rights.QUOTA, "namespace": namespace.name}
        member.client.create(RESOURCE_QUOTAS, {"metadata": metadata, "spec": {"hard": {"pods": "3"}}})
        self.limit(namespace, vms=4)
        visit(namespace)
        assert status_of(namespace, "Ready") == ("False", "QuotaTaken")
        assert self.hard(member, namespace) == {"pods": "3"}

    @pytest.mark.parametrize("how", ["migration", "note"])
    def test_ten9_it_is_left_as_it_is_while_a_vm_migrates(
        self, member: Member, namespace: ProjectNamespace, how: str
    ) -> None:
        self.limit(namespace, vms=4)
        visit(namespace)
        migrate, finish = _migrating(member, namespace, how)
        migrate()
        self.limit(namespace, vms=2)
        visit(namespace)
        assert self.hard(member, namespace) == {"count/virtualmachines.kubevirt.io": "4"}
        finish()
        visit(namespace)
        assert self.hard(member, namespace) == {"count/virtualmachines.kubevirt.io": "2"}


def _migrating(
    member: Member, namespace: ProjectNamespace, how: str
) -> tuple[Callable[[], object], Callable[[], object]]:
    """What begins a migration, and what ends it."""
    client, name = member.client, namespace.name
    if how == "note":

        def note(value: str | None) -> object:
            annotations = {"harvesterhci.io/migratingUID-1234": value}
            return client.patch(RESOURCE_QUOTAS, rights.QUOTA, {"metadata": {"annotations": annotations}}, name)

        return lambda: note("{}"), lambda: note(None)
    migration = {"metadata": {"name": "vm-1", "namespace": name}, "spec": {"vmiName": "vm"}}
    done = {"status": {"phase": "Succeeded"}}
    resource = VIRTUAL_MACHINE_INSTANCE_MIGRATIONS
    return (
        lambda: client.create(resource, migration),
        lambda: client.patch(resource, "vm-1", done, name, subresource="status"),
    )


def wait_until_refused(attempt: Callable[[], object]) -> None:
    """A real server remembers for some seconds that a token was good."""
    deadline = timezone.now() + timedelta(seconds=30)
    while timezone.now() < deadline:
        attempt()
