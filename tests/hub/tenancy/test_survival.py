"""What somebody has made belongs to its tenant, project or the hub, and stays when he is removed."""

import pytest

from hub.access.services import bind_role
from hub.api.kubeconfigs import issue_kubeconfig
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM, Actor, visible_to
from hub.federation.models import Cluster
from hub.federation.services import import_cluster
from hub.identity.models import ApiToken, User
from hub.identity.services import delete_user
from hub.identity.tokens import authenticate_token, issue_token
from hub.tenancy.credentials import create_credential
from hub.tenancy.models import Credential, Project
from hub.tenancy.service_accounts import create_service_account
from kube.kubeconfig import render_kubeconfig
from tests.hub.builders import make_actor, make_cluster, make_project, user_of

KUBECONFIG = render_kubeconfig(name="a", server="https://harvester.example.org:6443", ca_pem=None, token="x" * 40)


@pytest.fixture
def project(db: None) -> Project:
    return make_project()


@pytest.fixture
def maker(project: Project) -> Actor:
    """An administrator who leaves."""
    return make_actor("hub-admin", name="leaver")


@pytest.fixture
def heir(project: Project) -> Actor:
    return make_actor("project-owner", project)


def test_clusters_survive_their_creators_removal(maker: Actor) -> None:
    cluster = import_cluster(maker, "berlin", "harvester", KUBECONFIG, {})
    delete_user(SYSTEM, user_of(maker))
    kept = Cluster.objects.get(pk=cluster.pk)
    assert kept.pasted_kubeconfig.reveal() == cluster.pasted_kubeconfig.reveal()


def test_credentials_survive_their_creators_removal(maker: Actor, heir: Actor, project: Project) -> None:
    values = {"username": "robot", "password": "s3cret-s3cret"}
    credential = create_credential(maker, project, "registry", "basic", values)
    delete_user(SYSTEM, user_of(maker))
    assert list(visible_to(Credential.objects.all(), heir, "use")) == [credential]
    assert "s3cret-s3cret" in Credential.objects.get().data.reveal()


def test_tokens_of_service_accounts_survive_their_creators_removal(maker: Actor, heir: Actor, project: Project) -> None:
    account = create_service_account(maker, project, "ci")
    bind_role(maker, "project-viewer", account.user, project)
    token, text = issue_token(maker, account.user, name="runner")
    delete_user(SYSTEM, user_of(maker))
    robot = authenticate_token(text)
    assert robot is not None
    assert list(visible_to(Project.objects.all(), robot, "get")) == [project]
    assert list(visible_to(ApiToken.objects.all(), heir, "delete").filter(user=account.user)) == [token]
    made = AuditEvent.objects.get(object_id=account.pk, verb="create")
    assert made.actor_name == maker.name  # the trail still says who it was


def test_his_own_tokens_and_kubeconfigs_do_not_survive_him(maker: Actor) -> None:
    _, text = issue_token(maker, user_of(maker), name="own")
    kubeconfig, _ = issue_kubeconfig(maker, [make_cluster()])
    delete_user(SYSTEM, user_of(maker))
    assert authenticate_token(text) is None
    assert not ApiToken.objects.filter(pk=kubeconfig.pk).exists()
    assert not User.objects.filter(username=maker.name).exists()
