"""What people ask of clusters and namespaces: refused early and clearly, or stated with its wake, audit and operation."""

import pytest
from django.db import connection, transaction

from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM
from hub.core.changes import StaleVersion, record_update
from hub.core.conditions import set_condition
from hub.core.errors import HubError
from hub.federation import clients
from hub.federation.clients import (
    ClusterUnavailable,
    client_for,
    credentials_of,
    enrolment_credentials,
    forget_clients,
    probing_client,
)
from hub.federation.models import Cluster, ProjectNamespace
from hub.federation.services import (
    forget_guest_cluster,
    import_cluster,
    register_guest_cluster,
    reimport_cluster,
    request_cluster_deletion,
    set_endpoints,
    update_labels,
)
from hub.operations.models import Operation
from kube.credentials import Credentials
from kube.kubeconfig import render_kubeconfig
from simulator.apiserver import Authority
from tests.hub.builders import make_cluster, make_namespace, make_project

pytestmark = pytest.mark.usefixtures("db")

SECRET = "a-very-secret-token"
AUTHORITY = Authority.generate("services")


def kubeconfig(server: str = "https://10.1.2.3:6443", extra_user: str = "", extra_cluster: str = "") -> str:
    text = render_kubeconfig(name="c", server=server, ca_pem=None, token=SECRET)
    text = text.replace("    token:", f"{extra_user}    token:")
    return text.replace("    server:", f"{extra_cluster}    server:")


class TestImport:
    def test_it_states_the_wish_and_comes_back_at_once(self) -> None:
        cluster = import_cluster(SYSTEM, "site-a", "harvester", kubeconfig(), {"env": "edge"})
        stored = Cluster.objects.get(pk=cluster.pk)
        assert (stored.kind, stored.labels, stored.phase) == ("harvester", {"env": "edge"}, "Importing")
        assert stored.endpoints == [{"url": "https://10.1.2.3:6443", "kind": "direct"}]
        assert stored.next_run_at is not None
        assert stored.operation_id is not None
        operation = Operation.objects.get(pk=stored.operation_id)
        assert (operation.kind, operation.target_id, operation.state) == ("cluster.import", cluster.pk, "pending")
        assert AuditEvent.objects.get(object_id=cluster.pk).verb == "create"

    def test_sec01_sec03_the_kubeconfig_is_sealed_and_in_no_other_place(self) -> None:
        cluster = import_cluster(SYSTEM, "site-a", "harvester", kubeconfig())
        assert SECRET in cluster.pasted_kubeconfig.reveal()
        for table in ("federation_cluster", "audit_auditevent", "operations_operation", "core_change"):
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT to_jsonb(t)::text FROM {table} t")
                assert SECRET not in str(cursor.fetchall())

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "not_kubeconfig"),
            ("{}", "not_kubeconfig"),
            ("a: &a [*a]", "not_yaml"),
            (kubeconfig(extra_user="    exec: {command: sh}\n"), "exec"),
            (kubeconfig(extra_user="    tokenFile: /etc/passwd\n"), "token_file"),
            (kubeconfig(extra_user="    client-key: /etc/shadow\n"), "client_key_file"),
            (kubeconfig(extra_user="    auth-provider: {name: gcp}\n"), "auth_provider"),
            (kubeconfig(extra_cluster="    proxy-url: http://10.0.0.1\n"), "proxy_url"),
            (kubeconfig(extra_cluster="    insecure-skip-tls-verify: true\n"), "insecure_skip_tls_verify"),
            (kubeconfig("https://10.1.2.3/k8s/clusters/local"), "embedded_rancher"),
            (kubeconfig("https://127.0.0.1:6443"), "loopback_server"),
            (kubeconfig("https://169.254.169.254"), "address_refused"),
            (kubeconfig("http://10.1.2.3"), "http_server"),
            ("x" * 300_000, "too_large"),
        ],
    )
    def test_sec61_a_kubeconfig_that_is_not_plain_is_refused_with_its_fix(self, text: str, problem: str) -> None:
        with pytest.raises(HubError) as refused:
            import_cluster(SYSTEM, "site-a", "harvester", text)
        assert (refused.value.code, refused.value.pointer) == ("cluster.kubeconfig_refused", "/kubeconfig")
        assert refused.value.params["problem"] == f"kubeconfig.{problem}"
        assert refused.value.params["fix"]
        assert SECRET not in str(refused.value)
        assert not Cluster.objects.exists()
        assert not Operation.objects.exists()

    @pytest.mark.parametrize("name", ["", "Site", "a.b", "-a", "a" * 64, "a b"])
    def test_a_name_is_a_dns_label(self, name: str) -> None:
        with pytest.raises(HubError) as refused:
            import_cluster(SYSTEM, name, "harvester", kubeconfig())
        assert (refused.value.code, refused.value.pointer) == ("cluster.name_invalid", "/name")

    def test_a_kind_that_is_not_known_is_refused(self) -> None:
        with pytest.raises(HubError) as refused:
            import_cluster(SYSTEM, "site-a", "libvirt", kubeconfig())
        assert refused.value.pointer == "/kind"

    def test_a_name_is_given_once_and_nothing_of_the_second_stays(self) -> None:
        import_cluster(SYSTEM, "site-a", "harvester", kubeconfig())
        with pytest.raises(HubError, match=r"cluster\.name_taken"):
            import_cluster(SYSTEM, "site-a", "kubernetes", kubeconfig())
        assert (Cluster.objects.count(), Operation.objects.count()) == (1, 1)

    @pytest.mark.parametrize(
        ("labels", "pointer"),
        [
            ({"paddock.io/tenant-id": "x"}, "/labels/paddock.io~1tenant-id"),
            ({"sub.paddock.io/x": "x"}, "/labels/sub.paddock.io~1x"),
            ({"a b": "x"}, "/labels/a b"),
            ({"a": "x y"}, "/labels/a"),
            ({"a": 1}, "/labels/a"),
            ({f"k{n}": "v" for n in range(65)}, "/labels"),
        ],
    )
    def test_sec43_labels_are_kubernetes_labels_outside_the_reserved_prefix(
        self, labels: dict[str, str], pointer: str
    ) -> None:
        with pytest.raises(HubError) as refused:
            import_cluster(SYSTEM, "site-a", "harvester", kubeconfig(), labels)
        assert (refused.value.code, refused.value.pointer) == ("cluster.labels_invalid", pointer)
        update = make_cluster()
        with pytest.raises(HubError):
            update_labels(SYSTEM, update, labels)

    def test_a_second_kubeconfig_begins_anew_and_the_old_account_is_not_trusted_meanwhile(self) -> None:
        cluster = registered()
        operation = reimport_cluster(
            SYSTEM, cluster, kubeconfig("https://10.9.9.9:6443"), expected_version=cluster.version
        )
        stored = Cluster.objects.get(pk=cluster.pk)
        assert stored.servers == ("https://10.9.9.9:6443",)
        assert not stored.access_token
        assert not stored.renewal_token
        assert stored.operation_id == operation.pk
        assert stored.generation == 2
        with pytest.raises(StaleVersion):
            reimport_cluster(SYSTEM, stored, kubeconfig(), expected_version=1)


class TestLabels:
    def test_they_are_replaced_with_both_sides_in_the_audit_trail(self) -> None:
        cluster = import_cluster(SYSTEM, "site-a", "harvester", kubeconfig(), {"env": "edge"})
        update_labels(SYSTEM, cluster, {"env": "core"}, expected_version=cluster.version)
        assert Cluster.objects.get(pk=cluster.pk).labels == {"env": "core"}
        event = AuditEvent.objects.get(verb="update")
        assert event.changes == {"labels": [{"env": "edge"}, {"env": "core"}]}

    def test_a_version_that_has_passed_is_refused(self) -> None:
        cluster = make_cluster()
        with pytest.raises(StaleVersion):
            update_labels(SYSTEM, cluster, {}, expected_version=5)


class TestDeletion:
    def test_it_is_refused_while_projects_are_there(self) -> None:
        cluster = make_cluster()
        make_namespace(make_project(), cluster)
        with pytest.raises(HubError) as refused:
            request_cluster_deletion(SYSTEM, cluster)
        assert (refused.value.code, refused.value.params["inside"]) == ("object.in_use", {"project namespaces": 1})
        assert Cluster.objects.get(pk=cluster.pk).deletion_requested_at is None

    def test_asked_twice_it_is_one_operation(self) -> None:
        cluster = import_cluster(SYSTEM, "site-a", "harvester", kubeconfig())
        first = request_cluster_deletion(SYSTEM, cluster)
        again = request_cluster_deletion(SYSTEM, Cluster.objects.get(pk=cluster.pk))
        assert first == again
        states = dict(Operation.objects.values_list("kind", "state"))
        assert states == {"cluster.import": "cancelled", "cluster.delete": "pending"}

    def test_a_guests_cluster_goes_with_its_guest_only(self) -> None:
        with pytest.raises(HubError, match=r"cluster\.is_guest"):
            request_cluster_deletion(SYSTEM, make_cluster(project=make_project()))

    def test_nothing_new_begins_on_a_cluster_that_goes(self) -> None:
        cluster = import_cluster(SYSTEM, "site-a", "harvester", kubeconfig())
        request_cluster_deletion(SYSTEM, cluster)
        with pytest.raises(HubError, match=r"object\.being_deleted"):
            make_namespace(make_project(), cluster)
        with pytest.raises(HubError, match=r"object\.being_deleted"):
            reimport_cluster(SYSTEM, Cluster.objects.get(pk=cluster.pk), kubeconfig())


class TestGuests:
    def test_a_guest_belongs_to_its_project_and_names_may_repeat_over_projects(self) -> None:
        projects = [make_project() for _ in range(2)]
        members = [register_guest_cluster(p, "web", administrator(), owner_id=p.pk) for p in projects]
        assert [m.project for m in members] == projects
        assert [m.tenant for m in members] == [p.tenant for p in projects]
        with pytest.raises(HubError, match=r"cluster\.name_taken"):
            register_guest_cluster(projects[0], "web", administrator(), owner_id=projects[0].pk)

    def test_sec01_its_certificates_key_is_sealed(self) -> None:
        project = make_project()
        member = register_guest_cluster(project, "web", administrator(), owner_id=project.pk)
        key = administrator().client_key_pem
        assert key is not None
        assert enrolment_credentials(member).client_key_pem == key
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_jsonb(t)::text FROM federation_cluster t")
            assert key[40:80] not in str(cursor.fetchall())

    def test_its_addresses_follow_its_servers(self) -> None:
        project = make_project()
        member = register_guest_cluster(project, "web", administrator(), owner_id=project.pk)
        version = member.version
        set_endpoints(member, member.servers)
        assert member.version == version
        set_endpoints(member, [])
        assert member.servers
        set_endpoints(member, ["https://10.0.0.2:6443", "https://10.0.0.3:6443"])
        assert Cluster.objects.get(pk=member.pk).servers == ("https://10.0.0.2:6443", "https://10.0.0.3:6443")

    def test_a_guest_that_goes_takes_the_namespaces_in_it_along(self) -> None:
        project = make_project()
        member = register_guest_cluster(project, "web", administrator(), owner_id=project.pk)
        make_namespace(project, member)
        forget_guest_cluster(member)
        assert not Cluster.objects.exists()
        assert not ProjectNamespace.objects.exists()


def administrator() -> Credentials:
    return Credentials(("https://10.0.0.1:6443",), AUTHORITY.server_ca.certificate, None, *_ADMIN)


_PAIR = AUTHORITY.issue_client("paddock-hub", ("system:masters",))
_ADMIN = (_PAIR.certificate, _PAIR.key)


def registered() -> Cluster:
    cluster = make_cluster()
    cluster.access_token, cluster.renewal_token = "first", "renewal"
    with transaction.atomic():
        record_update(cluster, ["access_token", "renewal_token"])
    return cluster


class TestClients:
    def test_there_is_none_before_the_registration(self) -> None:
        with pytest.raises(ClusterUnavailable) as refused:
            client_for(make_cluster())
        assert refused.value.reason == "NotRegistered"
        with pytest.raises(ClusterUnavailable):
            enrolment_credentials(make_cluster())

    def test_one_is_kept_warm_until_its_token_or_address_changes(self) -> None:
        cluster = registered()
        first = client_for(cluster)
        assert client_for(cluster) is first
        assert client_for(Cluster.objects.get(pk=cluster.pk)) is first
        cluster.access_token = "second"
        with transaction.atomic():
            record_update(cluster, ["access_token"])
        second = client_for(Cluster.objects.get(pk=cluster.pk))
        assert second is not first
        set_endpoints(cluster, ["https://10.0.0.9:6443"])
        assert client_for(Cluster.objects.get(pk=cluster.pk)) is not second
        forget_clients(cluster.pk)
        assert not [key for key in clients._clients if key[0] == cluster.pk]

    def test_flt25_a_fenced_cluster_gives_none_but_to_look(self) -> None:
        cluster = registered()
        set_condition(cluster, "Fenced", True, "IdentityChanged")
        with pytest.raises(ClusterUnavailable) as refused:
            client_for(cluster)
        assert refused.value.reason == "IdentityChanged"
        assert probing_client(cluster)
        forget_clients(cluster.pk)

    def test_sec04_no_repr_shows_the_token(self) -> None:
        cluster = registered()
        assert "first" not in repr(credentials_of(cluster))
        assert "first" not in clients._fingerprint(credentials_of(cluster))
