"""Member clusters, from the pasted kubeconfig to the end, on a simulated API server and on a real one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.changes import LostClaim
from hub.core.conditions import STUCK, condition
from hub.core.models import HubIdentity
from hub.core.work import claim, wake
from hub.federation.checks import CHECKS
from hub.federation.clients import ClusterUnavailable, client_for, renewal_credentials
from hub.federation.models import Cluster
from hub.federation.rights import cluster_group
from hub.federation.services import (
    enrol_again,
    needs_enrolment,
    register_guest_cluster,
    reimport_cluster,
    request_cluster_deletion,
    set_endpoints,
)
from hub.operations.models import Operation
from kube.client import KubeClient
from kube.credentials import Credentials
from kube.errors import Forbidden
from kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CONFIG_MAPS,
    NAMESPACES,
    NODES,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from simulator.apiserver import Authority
from simulator.apiserver.faults import Fault, FaultKind
from tests.bed.processes import free_port
from tests.bed.waiting import wait_for
from tests.hub.builders import make_project
from tests.simulator.running import LOOPBACK
from tests.workers.reconcilers.members import (
    Member,
    as_user,
    check_states,
    import_member,
    is_gone,
    kubeconfig_of,
    ready_cluster,
    status_of,
    visit,
    visit_until,
)
from workers.reconcilers import cluster as reconciler

pytestmark = pytest.mark.usefixtures("hub")


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


def _operation_of(cluster: Cluster) -> Operation:
    return Operation.objects.filter(target_id=cluster.pk).latest("id")


def _kill_at(place: str) -> Callable[[str], None]:
    def failpoint(name: str) -> None:
        if name == place:
            raise Killed

    return failpoint


class TestImport:
    def test_every_step_is_shown_and_the_pasted_credential_is_dropped(self, member: Member) -> None:
        cluster = import_member(member)
        assert set(check_states(cluster).values()) == {"pending"}
        visit_until(cluster, lambda: status_of(cluster, "Ready")[0] == "True")
        assert check_states(cluster) == dict.fromkeys(CHECKS, "passed")
        assert not cluster.pasted_kubeconfig
        assert status_of(cluster, "Registered") == ("True", "AccountVerified")
        assert status_of(cluster, "Reachable")[0] == "True"
        assert cluster.phase == "Ready"
        assert cluster.server_version.startswith("v1.34")
        assert cluster.node_count == len(member.client.list(NODES))
        assert "rbac.authorization.k8s.io" in cluster.capabilities
        assert cluster.uid == member.client.get(NAMESPACES, "kube-system")["metadata"]["uid"]
        assert cluster.last_seen_at is not None
        operation = _operation_of(cluster)
        assert (operation.state, operation.progress) == ("succeeded", 100)
        assert [(step["name"], step["state"]) for step in operation.steps] == [(name, "succeeded") for name in CHECKS]

    def test_what_the_hub_writes_is_marked_as_its_own_and_goes_with_its_namespace(self, member: Member) -> None:
        cluster = ready_cluster(member)
        namespace = member.client.get(NAMESPACES, "paddock-system")
        for resource in (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS):
            written = member.client.list(
                resource, label_selector=f"paddock.io/hub-id={HubIdentity.objects.get().hub_id}"
            )
            assert written
            for obj in written:
                assert obj["metadata"]["name"].startswith("paddock-")
                (owner,) = obj["metadata"]["ownerReferences"]
                assert (owner["kind"], owner["uid"]) == ("Namespace", namespace["metadata"]["uid"])
        mark = member.client.get(CONFIG_MAPS, "paddock-hub-owner", "paddock-system")["data"]
        assert mark == {"hubId": str(HubIdentity.objects.get().hub_id), "epoch": "1", "clusterId": str(cluster.pk)}

    @pytest.mark.parametrize("place", ["before_call", "after_call", "after_commit"])
    def test_flt01_an_import_that_was_cut_off_comes_to_the_same_end(
        self, simulated_member: Member, monkeypatch: pytest.MonkeyPatch, place: str
    ) -> None:
        cluster = import_member(simulated_member)
        with monkeypatch.context() as patched:
            patched.setattr(reconciler, "failpoint", _kill_at(f"cluster.register.{place}"))
            with pytest.raises(Killed):
                visit(cluster)
        Cluster.objects.update(lease_expires_at=None)
        cluster = Cluster.objects.get(pk=cluster.pk)
        assert cluster.pasted_kubeconfig
        visit_until(cluster, lambda: status_of(cluster, "Ready")[0] == "True")
        assert set(check_states(cluster).values()) == {"passed"}
        assert not cluster.pasted_kubeconfig

    @pytest.mark.parametrize("seed", range(3))
    def test_flt18_an_import_comes_through_a_member_that_fails_a_tenth_of_the_time(
        self, simulated_member: Member, seed: int
    ) -> None:
        running = simulated_member.simulated
        assert running is not None
        faults = running.server.faults
        faults.chance.seed(seed)
        for kind in (FaultKind.SERVER_ERROR, FaultKind.RESET, FaultKind.LOST_RESPONSE, FaultKind.TRUNCATED):
            faults.add(Fault(kind, count=None, probability=0.025))
        cluster = import_member(simulated_member)
        visit_until(cluster, lambda: status_of(cluster, "Ready")[0] == "True")
        faults.clear()
        assert not cluster.pasted_kubeconfig
        written = simulated_member.client.list(CLUSTER_ROLE_BINDINGS, label_selector="paddock.io/hub-id")
        assert len(written) == 4

    def test_flt10_a_visit_that_lost_its_claim_writes_nothing(self, simulated_member: Member) -> None:
        cluster = import_member(simulated_member)
        wake(cluster)
        stale = claim(Cluster, cluster.pk, "slow", 60)
        assert stale is not None
        Cluster.objects.update(lease_expires_at=None)
        visit(cluster)
        after = Cluster.objects.values().get(pk=cluster.pk)
        with pytest.raises(LostClaim):
            reconciler.ClusterReconciler().reconcile(stale)
        assert Cluster.objects.values().get(pk=cluster.pk) == after


class TestRefusals:
    def failed(self, cluster: Cluster) -> tuple[str, str, str]:
        visit(cluster)
        assert status_of(cluster, "Ready")[0] == "False"
        (failed,) = [entry for entry in cluster.checks if entry["state"] == "failed"]
        later = CHECKS[CHECKS.index(failed["name"]) + 1 :]
        assert all(check_states(cluster)[name] == "pending" for name in later)
        step = {step["name"]: step for step in _operation_of(cluster).steps}[failed["name"]]
        assert step["state"] == "running"
        assert failed["fix"] in step["message"]
        return failed["name"], failed["message"], failed["fix"]

    def changed(self, member: Member, **changes: object) -> str:
        return kubeconfig_of(replace(member.admin, **changes))  # type: ignore[arg-type]

    def test_nobody_listens(self, simulated_member: Member) -> None:
        address = f"https://127.0.0.1:{free_port()}"
        cluster = import_member(simulated_member, kubeconfig=self.changed(simulated_member, servers=(address,)))
        name, message, _ = self.failed(cluster)
        assert name == "tcp"
        assert address.removeprefix("https://") in message
        assert status_of(cluster, "Reachable") == ("False", "ConnectionFailed")

    def test_a_name_that_is_not_known(self, simulated_member: Member) -> None:
        servers = ("https://no-such-host.invalid:6443",)
        name, _, _ = self.failed(
            import_member(simulated_member, kubeconfig=self.changed(simulated_member, servers=servers))
        )
        assert name == "dns"

    def test_a_certificate_of_another_authority(self, member: Member) -> None:
        other = Authority.generate("other").server_ca.certificate
        name, message, _ = self.failed(import_member(member, kubeconfig=self.changed(member, ca_pem=other)))
        assert name == "tls"
        assert "certificate is refused" in message

    def test_a_certificate_for_another_address_says_for_which_it_is(self, member: Member) -> None:
        """As with rke2.yaml, whose 127.0.0.1 was replaced by an address that the certificate does not have."""
        text = member.kubeconfig.replace("    server:", "    tls-server-name: harvester.example\n    server:")
        name, message, fix = self.failed(import_member(member, kubeconfig=text))
        assert name == "tls"
        assert "another name" in message
        assert "127.0.0.1" in fix

    def test_a_token_that_is_not_known(self, member: Member) -> None:
        kubeconfig = self.changed(member, token="made-up", client_cert_pem=None, client_key_pem=None)
        cluster = import_member(member, kubeconfig=kubeconfig)
        name, message, _ = self.failed(cluster)
        assert name == "authentication"
        assert "made-up" not in message
        assert status_of(cluster, "Registered") == ("False", "CredentialsRefused")

    def test_a_kubeconfig_of_somebody_with_few_rights(self, member: Member) -> None:
        client = member.client
        client.apply(SERVICE_ACCOUNTS, {"metadata": {"name": "weak", "namespace": "default"}})
        reader = {"apiGroups": [""], "resources": ["namespaces", "nodes", "configmaps"], "verbs": ["get", "list"]}
        client.apply(CLUSTER_ROLES, {"metadata": {"name": "weak"}, "rules": [reader]})
        subject = {"kind": "ServiceAccount", "name": "weak", "namespace": "default"}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "weak"}
        client.apply(CLUSTER_ROLE_BINDINGS, {"metadata": {"name": "weak"}, "roleRef": role, "subjects": [subject]})
        token, _ = client.request_token("default", "weak", 3600)
        cluster = import_member(
            member, kubeconfig=self.changed(member, token=token, client_cert_pem=None, client_key_pem=None)
        )

        def told() -> bool:  # the authorizer of a real server needs a moment
            return any(entry["state"] == "failed" and entry["name"] == "registration" for entry in cluster.checks)

        visit_until(cluster, told)
        name, message, fix = self.failed(cluster)
        assert name == "registration"
        assert "create clusterroles" in message
        assert "administrator" in fix
        assert client.find(CLUSTER_ROLES, "paddock-hub") is None

    def test_a_plain_cluster_is_no_harvester(self, member: Member) -> None:
        if member.simulated is None:
            cluster = import_member(member, "harvester")
            name, message, fix = self.failed(cluster)
            assert name == "capabilities"
            assert "subresources.kubevirt.io" in message
            assert "kubernetes" in fix
            assert member.client.find(CLUSTER_ROLES, "paddock-hub") is None
        else:
            assert ready_cluster(member, "harvester").capabilities["kubevirt.io"] == ["v1"]

    def test_the_same_cluster_is_imported_once(self, member: Member) -> None:
        first = ready_cluster(member)
        name, message, _ = self.failed(import_member(member))
        assert name == "identity"
        assert first.name in message
        assert visit(first).next_run_in is not None
        assert status_of(first, "Ready")[0] == "True"

    def test_flt40_a_cluster_of_another_hub_is_left_alone(self, member: Member) -> None:
        client = member.client
        client.apply(NAMESPACES, {"metadata": {"name": "paddock-system"}})
        data = {"hubId": "another", "epoch": "1"}
        mark = {"metadata": {"name": "paddock-hub-owner", "namespace": "paddock-system"}, "data": data}
        client.apply(CONFIG_MAPS, mark)
        name, _, fix = self.failed(import_member(member))
        assert name == "owner"
        assert "paddock-system/paddock-hub-owner" in fix
        assert client.find(CLUSTER_ROLES, "paddock-hub") is None
        assert client.get(CONFIG_MAPS, "paddock-hub-owner", "paddock-system")["data"] == data

    def test_an_import_that_does_not_come_to_an_end_is_stuck_and_says_who_can_act(
        self, simulated_member: Member
    ) -> None:
        kubeconfig = self.changed(simulated_member, token="made-up", client_cert_pem=None, client_key_pem=None)
        cluster = import_member(simulated_member, kubeconfig=kubeconfig)
        visit(cluster)
        assert status_of(cluster, STUCK) == ("", "")
        _age(cluster, "Registered", timedelta(hours=1))
        visit(cluster)
        stuck = condition(cluster, STUCK)
        assert stuck is not None
        assert stuck.params == {"owner": "platform", "action": "check_authentication"}


def _age(cluster: Cluster, type: str, by: timedelta) -> None:
    """Makes a condition as old as that."""
    past = (timezone.now() - by).isoformat()
    conditions = [entry | ({"last_transition": past} if entry["type"] == type else {}) for entry in cluster.conditions]
    Cluster.objects.filter(pk=cluster.pk).update(conditions=conditions)


class TestRights:
    def test_the_hubs_account_is_not_an_administrator(self, member: Member) -> None:
        hub_client = client_for(ready_cluster(member))
        with pytest.raises(Forbidden):
            hub_client.list(SECRETS, "kube-system")
        with pytest.raises(Forbidden):
            hub_client.create(CLUSTER_ROLES, {"metadata": {"name": "more"}, "rules": []})
        everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
        with pytest.raises(Forbidden):
            hub_client.apply(CLUSTER_ROLES, {"metadata": {"name": "paddock-hub"}, "rules": [everything]})
        assert not hub_client.can_i("create", CLUSTER_ROLE_BINDINGS)

    def test_it_acts_for_the_groups_on_the_list_and_for_none_of_kubernetes_own(self, member: Member) -> None:
        cluster = ready_cluster(member)
        with as_user(cluster, cluster_group(cluster.pk, "cluster-admin")) as admin:
            assert admin.list(SECRETS, "kube-system") is not None
        for group in ("system:masters", "paddock:cluster:00000000-0000-0000-0000-000000000000:cluster-admin"):
            with as_user(cluster, group) as somebody, pytest.raises(Forbidden):
                somebody.list(NAMESPACES)

    def test_sec39_a_viewer_reads_and_the_member_itself_refuses_him_the_rest(self, member: Member) -> None:
        cluster = ready_cluster(member)
        with as_user(cluster, cluster_group(cluster.pk, "cluster-viewer")) as viewer:
            assert viewer.list(NODES) is not None
            assert viewer.get(NAMESPACES, "default")
            with pytest.raises(Forbidden):
                viewer.delete(NAMESPACES, "default")
            with pytest.raises(Forbidden):
                viewer.list(SECRETS, "default")

    def test_somebody_without_a_group_may_nothing(self, member: Member) -> None:
        cluster = ready_cluster(member)
        with as_user(cluster) as nobody, pytest.raises(Forbidden):
            nobody.list(NAMESPACES)

    def test_rights_that_somebody_took_away_are_noticed_and_told(self, simulated_member: Member) -> None:
        cluster = ready_cluster(simulated_member)
        role = simulated_member.client.get(CLUSTER_ROLES, "paddock-hub")
        role["rules"] = [rule for rule in role["rules"] if "rolebindings" not in rule["resources"]]
        simulated_member.client.replace(CLUSTER_ROLES, role)
        Cluster.objects.update(rights_checked_at=timezone.now() - timedelta(hours=1))
        visit(cluster)
        registered = condition(cluster, "Registered")
        assert registered is not None
        assert registered.status == "False"
        assert "create rolebindings.rbac.authorization.k8s.io" in registered.message
        reimport_cluster(SYSTEM, cluster, simulated_member.kubeconfig)
        visit_until(cluster, lambda: status_of(cluster, "Ready")[0] == "True")
        assert not cluster.pasted_kubeconfig


class TestTokens:
    def test_they_are_renewed_at_half_of_their_life(self, member: Member) -> None:
        cluster = ready_cluster(member)
        first = cluster.access_token.reveal()
        assert cluster.access_token_expires_at is not None
        assert cluster.access_token_renew_at is not None
        left = cluster.access_token_expires_at - timezone.now()
        assert timedelta(minutes=50) < left < timedelta(minutes=70)
        assert abs(cluster.access_token_renew_at - (timezone.now() + left / 2)) < timedelta(minutes=1)
        visit(cluster)
        assert cluster.access_token.reveal() == first
        Cluster.objects.update(access_token_renew_at=timezone.now(), renewal_token_renew_at=timezone.now())
        visit(cluster)
        assert cluster.access_token.reveal() != first
        assert status_of(cluster, "Ready")[0] == "True"

    def test_flt24_after_an_outage_longer_than_its_token_the_hub_comes_back_in(self, member: Member) -> None:
        cluster = ready_cluster(member)
        cluster.access_token = "ended.long.ago"
        cluster.save(update_fields=["access_token"])
        visit(cluster)
        assert cluster.access_token.reveal() != "ended.long.ago"
        visit(cluster)
        assert status_of(cluster, "Ready")[0] == "True"

    def test_when_nothing_opens_it_any_more_that_is_told_with_the_way_out(self, member: Member) -> None:
        cluster = ready_cluster(member)
        cluster.access_token = cluster.renewal_token = "ended.long.ago"
        cluster.save(update_fields=["access_token", "renewal_token"])
        visit(cluster)
        assert status_of(cluster, "Registered") == ("False", "CredentialsRefused")
        assert status_of(cluster, "Ready") == ("False", "NotRegistered")
        assert needs_enrolment(cluster)

    def test_the_renewal_token_can_do_nothing_but_renew(self, member: Member) -> None:
        cluster = ready_cluster(member)
        with KubeClient(renewal_credentials(cluster), guard=LOOPBACK) as renewal:
            with pytest.raises(Forbidden):
                renewal.list(NAMESPACES)
            with pytest.raises(Forbidden):
                renewal.request_token("default", "default", 600)
            assert renewal.request_token("paddock-system", "paddock-hub", 600)

    def test_sec01_no_credential_is_in_the_row_as_text(self, member: Member) -> None:
        cluster = ready_cluster(member)
        token = cluster.access_token.reveal()
        stored = str(Cluster.objects.values().get(pk=cluster.pk)) + str(list(AuditEvent.objects.values()))
        assert token not in stored
        assert (member.admin.client_key_pem or "")[30:80] not in stored


class TestProbing:
    def test_flt24_a_member_that_is_away_keeps_its_registration_and_is_found_again(
        self, simulated_member: Member
    ) -> None:
        running = simulated_member.simulated
        assert running is not None
        cluster = ready_cluster(simulated_member)
        port = int(simulated_member.admin.servers[0].rpartition(":")[2])
        seen = cluster.last_seen_at
        running.run(running.server.unlisten("127.0.0.1", port))
        visit(cluster)
        assert status_of(cluster, "Reachable")[0] == "False"
        assert status_of(cluster, "Ready") == ("False", "Unreachable")
        assert status_of(cluster, "Registered")[0] == "True"
        assert (cluster.phase, cluster.last_seen_at) == ("Unavailable", seen)
        running.run(running.server.listen("127.0.0.1", port))
        visit(cluster)
        assert status_of(cluster, "Ready")[0] == "True"
        assert cluster.last_seen_at is not None
        assert seen is not None
        assert cluster.last_seen_at > seen

    def test_a_probe_that_sees_nothing_new_makes_no_new_version(self, member: Member) -> None:
        cluster = ready_cluster(member)
        visit(cluster)
        version, seen = cluster.version, cluster.last_seen_at
        assert seen is not None
        visit(cluster)
        assert cluster.version == version
        assert cluster.last_seen_at is not None
        assert cluster.last_seen_at > seen

    def test_a_member_that_stays_away_is_asked_less_often(self, simulated_member: Member) -> None:
        cluster = ready_cluster(simulated_member)
        set_endpoints(cluster, [f"https://127.0.0.1:{free_port()}"])
        soon = visit(cluster).next_run_in
        _age(cluster, "Reachable", timedelta(hours=1))
        later = visit(cluster).next_run_in
        assert soon is not None
        assert later is not None
        assert soon < 15 < 45 < later < 90

    def test_flt17_a_member_that_sheds_load_says_when_to_come_back(self, simulated_member: Member) -> None:
        running = simulated_member.simulated
        assert running is not None
        cluster = ready_cluster(simulated_member)
        running.server.faults.add(Fault(FaultKind.TOO_MANY_REQUESTS, resource="nodes", seconds=17))
        assert visit(cluster).next_run_in == 17
        assert status_of(cluster, "Reachable") == ("False", "TooManyRequests")

    @pytest.mark.parametrize("kind", ["server-error", "unavailable", "reset", "truncated", "lost-response"])
    def test_flt18_whatever_goes_wrong_is_told_and_passes(self, simulated_member: Member, kind: str) -> None:
        running = simulated_member.simulated
        assert running is not None
        cluster = ready_cluster(simulated_member)
        running.server.faults.add(Fault(FaultKind(kind), resource="nodes"))
        visit(cluster)
        assert status_of(cluster, "Reachable")[0] == "False"
        assert status_of(cluster, "Registered")[0] == "True"
        visit(cluster)
        assert status_of(cluster, "Ready")[0] == "True"

    def test_any_of_several_addresses_will_do(self, simulated_member: Member) -> None:
        running = simulated_member.simulated
        assert running is not None
        cluster = ready_cluster(simulated_member)
        second = running.run(running.server.listen("127.0.0.1", 0))
        dead = f"https://127.0.0.1:{free_port()}"
        set_endpoints(cluster, [dead, second])
        visit(cluster)
        assert status_of(cluster, "Ready")[0] == "True"

    def test_flt25_another_cluster_at_the_same_address_stops_every_write(self, member: Member) -> None:
        cluster = ready_cluster(member)
        Cluster.objects.update(uid="another")
        roles = member.client.list(CLUSTER_ROLES, label_selector="paddock.io/hub-id")
        visit(cluster)
        assert status_of(cluster, "Fenced") == ("True", "IdentityChanged")
        assert status_of(cluster, "Ready") == ("False", "Fenced")
        with pytest.raises(ClusterUnavailable) as refused:
            client_for(cluster)
        assert refused.value.reason == "IdentityChanged"
        assert member.client.list(CLUSTER_ROLES, label_selector="paddock.io/hub-id") == roles
        Cluster.objects.update(uid=member.client.get(NAMESPACES, "kube-system")["metadata"]["uid"])
        visit(cluster)
        visit(cluster)
        assert status_of(cluster, "Ready")[0] == "True"
        assert client_for(cluster)

    def test_flt40_an_older_copy_of_the_hub_is_fenced_out(self, member: Member) -> None:
        cluster = ready_cluster(member)
        member.client.patch(CONFIG_MAPS, "paddock-hub-owner", {"data": {"epoch": "7"}}, "paddock-system", kind="merge")
        visit(cluster)
        assert status_of(cluster, "Fenced") == ("True", "OwnedByAnotherHub")
        HubIdentity.objects.update(epoch=8)
        visit(cluster)
        assert status_of(cluster, "Fenced")[0] == "False"
        assert member.client.get(CONFIG_MAPS, "paddock-hub-owner", "paddock-system")["data"]["epoch"] == "8"


class TestGuests:
    def test_a_guest_registers_by_a_client_certificate_that_is_dropped_then(self, member: Member) -> None:
        project = make_project()
        cluster = register_guest_cluster(project, "guest", member.admin, owner_id=project.pk)
        assert (cluster.kind, cluster.tenant, cluster.project) == ("kubernetes", project.tenant, project)
        visit_until(cluster, lambda: status_of(cluster, "Ready")[0] == "True")
        assert not cluster.client_certificate

    def test_a_guest_that_was_away_too_long_is_enrolled_again(self, simulated_member: Member) -> None:
        project = make_project()
        cluster = register_guest_cluster(project, "guest", simulated_member.admin, owner_id=project.pk)
        visit_until(cluster, lambda: status_of(cluster, "Ready")[0] == "True")
        cluster.access_token = cluster.renewal_token = "ended.long.ago"
        cluster.save(update_fields=["access_token", "renewal_token"])
        visit(cluster)
        assert needs_enrolment(cluster)
        enrol_again(cluster, simulated_member.admin)
        assert not needs_enrolment(cluster)
        visit_until(cluster, lambda: status_of(cluster, "Ready")[0] == "True")

    def test_a_guest_whose_rights_are_too_few_for_a_newer_hub_is_enrolled_again(self, simulated_member: Member) -> None:
        project = make_project()
        cluster = register_guest_cluster(project, "guest", simulated_member.admin, owner_id=project.pk)
        visit_until(cluster, lambda: status_of(cluster, "Ready")[0] == "True")
        role = simulated_member.client.get(CLUSTER_ROLES, "paddock-hub")
        role["rules"] = [rule for rule in role["rules"] if "list" not in rule["verbs"] or "nodes" in rule["resources"]]
        simulated_member.client.replace(CLUSTER_ROLES, role)
        Cluster.objects.update(rights_checked_at=None)
        visit(cluster)
        assert needs_enrolment(cluster)
        enrol_again(cluster, simulated_member.admin)
        assert not needs_enrolment(cluster)
        visit_until(cluster, lambda: status_of(cluster, "Ready")[0] == "True")


class TestRemoval:
    def test_the_member_is_left_as_it_was(self, member: Member) -> None:
        before = {obj["metadata"]["name"] for obj in member.client.list(CLUSTER_ROLES)}
        cluster = ready_cluster(member)
        operation = request_cluster_deletion(SYSTEM, cluster)
        visit_until(cluster, lambda: is_gone(cluster))
        assert Operation.objects.get(pk=operation.pk).state == "succeeded"
        _wait_until_gone(member)
        assert {obj["metadata"]["name"] for obj in member.client.list(CLUSTER_ROLES)} <= before
        assert member.client.list(CLUSTER_ROLE_BINDINGS, label_selector="paddock.io/hub-id") == []
        # Disks may be made of the images in it; nobody has rights in it any more.
        member.made.append("paddock-public")
        assert "deletionTimestamp" not in member.client.get(NAMESPACES, "paddock-public")["metadata"]
        assert member.client.list(ROLE_BINDINGS, "paddock-public", label_selector="paddock.io/hub-id") == []
        event = AuditEvent.objects.get(verb="unregister")
        assert (event.object_id, event.detail["left_behind"]) == (cluster.pk, [])

    def test_the_rights_of_people_go_first(self, simulated_member: Member) -> None:
        cluster = ready_cluster(simulated_member)
        request_cluster_deletion(SYSTEM, cluster)
        visit(cluster)
        bound = simulated_member.client.list(CLUSTER_ROLE_BINDINGS, label_selector="paddock.io/hub-id")
        assert not [binding for binding in bound if binding["subjects"][0]["kind"] == "Group"]

    def test_a_member_that_is_away_is_waited_for_and_then_given_up_with_a_record(
        self, simulated_member: Member
    ) -> None:
        running = simulated_member.simulated
        assert running is not None
        cluster = ready_cluster(simulated_member)
        running.run(running.server.unlisten("127.0.0.1", int(simulated_member.admin.servers[0].rpartition(":")[2])))
        request_cluster_deletion(SYSTEM, cluster)
        visit(cluster)
        assert not is_gone(cluster)
        assert cluster.phase == "Deleting"
        Cluster.objects.update(deletion_requested_at=timezone.now() - timedelta(days=1))
        visit(cluster)
        assert is_gone(cluster)
        assert AuditEvent.objects.get(verb="unregister").detail["error"] == "Unavailable"

    def test_an_import_that_never_came_through_goes_without_a_trace(self, simulated_member: Member) -> None:
        cluster = import_member(simulated_member)
        request_cluster_deletion(SYSTEM, cluster)
        visit_until(cluster, lambda: is_gone(cluster))
        assert simulated_member.client.find(NAMESPACES, "paddock-system") is None

    def test_flt40_another_hubs_objects_are_left_alone(self, simulated_member: Member) -> None:
        cluster = ready_cluster(simulated_member)
        labels = {"metadata": {"labels": {"paddock.io/hub-id": "another"}}}
        client = simulated_member.client
        client.patch(NAMESPACES, "paddock-system", labels)
        client.patch(CLUSTER_ROLE_BINDINGS, "paddock-role-cluster-admin", labels)
        request_cluster_deletion(SYSTEM, cluster)
        visit_until(cluster, lambda: is_gone(cluster))
        assert "deletionTimestamp" not in client.get(NAMESPACES, "paddock-system")["metadata"]
        assert client.find(CLUSTER_ROLE_BINDINGS, "paddock-role-cluster-admin") is not None


def _wait_until_gone(member: Member) -> None:
    def gone() -> bool:
        left = member.client.list(CLUSTER_ROLES, label_selector="paddock.io/hub-id")
        return not left and member.client.find(NAMESPACES, "paddock-system") is None

    wait_for("the hub's objects to be gone", gone, seconds=40)


def test_credentials_never_show_in_a_repr(simulated_member: Member) -> None:
    cluster = ready_cluster(simulated_member)
    token = cluster.access_token.reveal()
    assert token not in repr(cluster.access_token)
    assert token not in repr(vars(cluster))
    assert isinstance(simulated_member.admin, Credentials)
