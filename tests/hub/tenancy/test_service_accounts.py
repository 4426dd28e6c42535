"""Service accounts: users of a project that nobody logs in as."""

import pytest

from hub.access.models import RoleBinding
from hub.access.services import bind_role
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM, Actor
from hub.core.changes import StaleVersion
from hub.core.errors import HubError
from hub.identity.actors import actor_of
from hub.identity.logins import authenticate_password
from hub.identity.models import ApiToken, User
from hub.identity.services import delete_user, set_password
from hub.identity.sessions import start_session
from hub.identity.tokens import authenticate_token, issue_token
from hub.tenancy.models import Project, ServiceAccount
from hub.tenancy.service_accounts import create_service_account, delete_service_account, update_service_account
from hub.tenancy.services import delete_project, rename_project
from tests.hub.builders import make_actor, make_project, user_of
from tests.hub.racing import race


@pytest.fixture
def project(db: None) -> Project:
    return make_project()


@pytest.fixture
def owner(project: Project) -> Actor:
    return make_actor("project-owner", project)


@pytest.fixture
def account(owner: Actor, project: Project) -> ServiceAccount:
    return create_service_account(owner, project, "ci", description="builds")


def token_of(account: ServiceAccount) -> str:
    return issue_token(SYSTEM, account.user, name="x")[1]


def test_an_account_is_a_user_of_its_project_and_says_so(account: ServiceAccount, project: Project) -> None:
    actor = authenticate_token(token_of(account))
    assert actor is not None
    assert actor.kind == "service_account"
    assert actor.name == account.username == f"sa:{project.tenant.name}:{project.name}:ci"


def test_what_it_does_is_recorded_as_its_own(account: ServiceAccount, project: Project) -> None:
    bind_role(SYSTEM, "project-owner", account.user, project)
    actor = authenticate_token(token_of(account))
    assert actor is not None
    made = create_service_account(actor, project, "other")
    event = AuditEvent.objects.get(object_id=made.pk, verb="create")
    assert (event.actor_kind, event.actor_name) == ("service_account", account.username)


def test_nobody_logs_in_as_one(account: ServiceAccount, owner: Actor) -> None:
    with pytest.raises(HubError):
        start_session(account.user, peer="", user_agent="")
    with pytest.raises(HubError):
        set_password(SYSTEM, account.user, "correct horse battery staple")


@pytest.mark.usefixtures("transactional_db")
def test_no_password_is_its() -> None:
    account = create_service_account(SYSTEM, make_project(), "ci")
    for password in ("", "x", account.username):
        assert authenticate_password(account.username, password, peer="192.0.2.1") is None


@pytest.mark.parametrize("name", ["", "CI", "a_b", "x" * 64, "a:b", "-a"])
def test_a_name_is_a_dns_label(project: Project, name: str) -> None:
    with pytest.raises(HubError) as refused:
        create_service_account(SYSTEM, project, name)
    assert refused.value.code == "name.invalid"


@pytest.mark.parametrize("description", ["x" * 201, "a\nb"])
def test_a_description_is_one_line(project: Project, description: str) -> None:
    with pytest.raises(HubError) as refused:
        create_service_account(SYSTEM, project, "ci", description=description)
    assert refused.value.code == "description.invalid"
    assert not ServiceAccount.objects.exists()


def test_a_name_is_taken_once_per_project(account: ServiceAccount, project: Project) -> None:
    with pytest.raises(HubError) as refused:
        create_service_account(SYSTEM, project, "ci")
    assert refused.value.code == "service_account.name_taken"
    create_service_account(SYSTEM, make_project(project.tenant), "ci")


def test_a_new_project_of_an_old_name_does_not_get_the_old_ones_users(
    account: ServiceAccount, project: Project
) -> None:
    name = project.name
    rename_project(SYSTEM, project, name="renamed")
    assert ServiceAccount.objects.get(pk=account.pk).username == f"sa:{project.tenant.name}:{name}:ci"
    with pytest.raises(HubError) as refused:
        create_service_account(SYSTEM, make_named(project, name), "ci")
    assert refused.value.code == "service_account.name_taken"


def make_named(project: Project, name: str) -> Project:
    other = make_project(project.tenant)
    return rename_project(SYSTEM, other, name=name)


@pytest.mark.usefixtures("transactional_db")
def test_of_two_of_the_same_name_at_once_one_is_made() -> None:
    project = make_project()
    got, refused = race(lambda: create_service_account(SYSTEM, project, "ci"))
    assert (len(got), refused) == (1, ["service_account.name_taken"])
    assert User.objects.filter(kind="service_account").count() == 1


def test_disabling_closes_its_tokens_until_it_is_enabled(account: ServiceAccount) -> None:
    text = token_of(account)
    update_service_account(SYSTEM, account, description="", is_active=False)
    assert authenticate_token(text) is None
    update_service_account(SYSTEM, account, description="", is_active=True)
    assert authenticate_token(text) is not None
    changes = AuditEvent.objects.filter(object_id=account.pk, verb="update").order_by("id").first()
    assert changes is not None
    assert changes.changes == {"description": ["builds", ""], "is_active": [True, False]}


def test_a_change_of_what_has_changed_meanwhile_is_refused(account: ServiceAccount) -> None:
    with pytest.raises(StaleVersion):
        update_service_account(SYSTEM, account, description="", is_active=False, expected_version=9)
    assert User.objects.get(pk=account.user_id).is_active


def test_deleting_takes_user_tokens_and_roles_along(account: ServiceAccount, project: Project) -> None:
    text = token_of(account)
    bind_role(SYSTEM, "project-viewer", account.user, project)
    delete_service_account(SYSTEM, account)
    assert authenticate_token(text) is None
    assert not User.objects.filter(username=account.username).exists()
    assert not RoleBinding.objects.filter(project=project, role="project-viewer").exists()


def test_a_project_with_accounts_is_not_deleted(account: ServiceAccount, project: Project) -> None:
    with pytest.raises(HubError) as refused:
        delete_project(SYSTEM, project)
    assert refused.value.code == "object.in_use"


def test_accounts_and_their_tokens_survive_their_creators_removal(owner: Actor, project: Project) -> None:
    account = create_service_account(owner, project, "ci")
    bind_role(SYSTEM, "project-viewer", account.user, project)
    token, text = issue_token(owner, account.user, name="ci")
    delete_user(SYSTEM, user_of(owner))
    actor = authenticate_token(text)
    assert actor is not None
    assert (actor.id, ApiToken.objects.get(pk=token.pk).user_id) == (account.user_id, account.user_id)
    assert RoleBinding.objects.filter(user=account.user).exists()
    assert actor_of(ServiceAccount.objects.get(pk=account.pk).user).kind == "service_account"
