"""Access in memory: the same answers as the database, without asking it, and an epoch that misses nothing."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from hub.access.custom_roles import RoleText, create_role, update_role
from hub.access.models import Role, RoleBinding
from hub.access.services import (
    bind_role,
    groups_wanted,
    member_roles_in_use,
    set_binding_end,
    set_user_active,
    unbind_role,
)
from hub.access.snapshot import (
    Principal,
    Snapshot,
    authenticate,
    authenticate_session,
    current_epoch,
    groups_for,
    load_snapshot,
    may_reach,
)
from hub.core.access import SYSTEM, TokenScope
from hub.core.changes import record_update
from hub.core.ids import uuid7
from hub.federation.models import Cluster, ProjectNamespace
from hub.federation.rights import PolicyRule, cluster_group, project_group, shared_group
from hub.identity.models import ApiToken, ExternalIdentity, GroupMembership, Session, User
from hub.identity.sessions import end_session, start_session
from hub.identity.tokens import issue_token, mark_used, revoke_token
from hub.tenancy.models import Project
from hub.tenancy.service_accounts import create_service_account
from hub.tenancy.services import delete_project
from tests.hub.access.groups import join, make_group
from tests.hub.builders import bind, make_actor, make_cluster, make_namespace, make_project, make_user, user_of


@pytest.mark.usefixtures("db")
class TestAuthentication:
    def test_a_live_token_is_its_user_and_no_query_is_made(
        self, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        user = make_user("maria")
        scope = TokenScope(read_only=True)
        token, text = issue_token(SYSTEM, user, name="ci", scope=scope)
        snapshot = load_snapshot()
        with django_assert_num_queries(0):
            principal = authenticate(snapshot, text, timezone.now())
        assert principal is not None
        assert (principal.user_id, principal.token_id, principal.scope) == (user.pk, token.pk, scope)
        assert principal.impersonated_user == f"paddock:user:{user.username}"
        assert (principal.actor.id, principal.actor.token_scope) == (user.pk, scope)

    def test_everything_else_is_nobody(self) -> None:
        _, text = issue_token(SYSTEM, make_user(), name="ci")
        snapshot, now = load_snapshot(), timezone.now()
        for wrong in ("", "x", text[:-1], text[:-1] + ("a" if text[-1] != "a" else "b"), text + " ", text.upper()):
            assert authenticate(snapshot, wrong, now) is None

    def test_a_token_ends_when_it_ends_also_in_an_old_snapshot(self) -> None:
        _, text = issue_token(SYSTEM, make_user(), name="ci", lifetime=timedelta(minutes=5))
        snapshot = load_snapshot()
        assert authenticate(snapshot, text, timezone.now() + timedelta(minutes=4)) is not None
        assert authenticate(snapshot, text, timezone.now() + timedelta(minutes=6)) is None

    def test_tokens_that_are_over_are_not_even_read(self) -> None:
        user, disabled = make_user(), make_user()
        revoked, _ = issue_token(SYSTEM, user, name="revoked")
        revoke_token(SYSTEM, revoked)
        expired, _ = issue_token(SYSTEM, user, name="expired")
        ApiToken.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
        issue_token(SYSTEM, disabled, name="of a disabled user")
        User.objects.filter(pk=disabled.pk).update(is_active=False)
        assert load_snapshot().tokens == {}

    def test_a_secret_or_a_pepper_shows_in_no_repr(self) -> None:
        _, text = issue_token(SYSTEM, make_user(), name="ci")
        snapshot = load_snapshot()
        assert text.rpartition("_")[2] not in repr(snapshot)
        assert not any(repr(pepper) in repr(snapshot) for pepper in snapshot.peppers.values())


@pytest.mark.usefixtures("db")
class TestSessions:
    def test_a_live_session_is_its_user(self) -> None:
        user = make_user("maria")
        session, text = start_session(user, peer="192.0.2.1", user_agent="x")
        snapshot, now = load_snapshot(), timezone.now()
        principal = authenticate_session(snapshot, text, now)
        assert principal is not None
        assert (principal.user_id, principal.session_id, principal.token_id) == (user.pk, session.pk, None)
        assert (principal.actor.session_id, principal.actor.token_scope) == (session.pk, None)
        assert authenticate_session(snapshot, text, session.expires_at) is None
        assert authenticate(snapshot, text, now) is None, "a cookie is no token"

    def test_a_token_is_no_cookie(self) -> None:
        _, text = issue_token(SYSTEM, make_user(), name="ci")
        snapshot, now = load_snapshot(), timezone.now()
        for wrong in (text, text.replace("pdk", "pds"), "", "pds_"):
            assert authenticate_session(snapshot, wrong, now) is None

    def test_sec47_sessions_that_are_over_are_not_even_read(self) -> None:
        ended, _ = start_session(make_user(), peer="", user_agent="")
        end_session(SYSTEM, ended, "logout")
        idle, _ = start_session(make_user(), peer="", user_agent="")
        Session.objects.filter(pk=idle.pk).update(last_seen_at=timezone.now() - timedelta(days=1))
        locked, _ = start_session(make_user(), peer="", user_agent="")
        User.objects.filter(pk=locked.user_id).update(is_active=False)
        assert load_snapshot().sessions == {}

    def test_who_has_to_change_his_password_is_nobody(self) -> None:
        user = make_user()
        _, cookie = start_session(user, peer="", user_agent="")
        _, token = issue_token(SYSTEM, user, name="ci")
        User.objects.filter(pk=user.pk).update(must_change_password=True)
        snapshot, now = load_snapshot(), timezone.now()
        assert authenticate(snapshot, token, now) is authenticate_session(snapshot, cookie, now) is None

    def test_a_service_accounts_token_is_told_as_such(self) -> None:
        account = create_service_account(SYSTEM, make_project(), "ci")
        _, text = issue_token(SYSTEM, account.user, name="ci")
        principal = authenticate(load_snapshot(), text, timezone.now())
        assert principal is not None
        assert principal.actor.kind == "service_account"


def reach(snapshot: Snapshot, text: str, cluster: Cluster) -> list[str]:
    principal = authenticate(snapshot, text, timezone.now())
    assert principal is not None
    groups = list(groups_for(snapshot, principal, cluster.pk, timezone.now()))
    assert may_reach(snapshot, principal, cluster.pk, timezone.now()) == bool(groups)
    return groups


@pytest.mark.usefixtures("db")
class TestGroups:
    def test_groups_follow_bindings_namespaces_and_what_the_member_allows(self) -> None:
        project, cluster = make_project(), make_cluster()
        make_namespace(project, cluster)
        viewer = make_actor("project-viewer", project)
        _, text = issue_token(SYSTEM, user_of(viewer), name="ci")
        assert reach(load_snapshot(), text, cluster) == []
        group = project_group(project.pk, "project-viewer")
        Cluster.objects.filter(pk=cluster.pk).update(groups=[group])
        assert reach(load_snapshot(), text, cluster) == [group]
        RoleBinding.objects.filter(user=user_of(viewer)).delete()
        assert reach(load_snapshot(), text, cluster) == []

    def test_sec40_a_missing_and_a_foreign_cluster_answer_alike(self) -> None:
        foreign = make_cluster(project=make_project())
        _, text = issue_token(SYSTEM, make_user(), name="ci")
        principal = authenticate(snapshot := load_snapshot(), text, timezone.now())
        assert principal is not None
        now = timezone.now()
        assert groups_for(snapshot, principal, foreign.pk, now) == groups_for(snapshot, principal, uuid7(), now) == ()

    def test_a_cluster_or_namespace_that_is_being_deleted_is_out_of_reach(self) -> None:
        project = make_project()
        cluster, shared = make_cluster(project=project), make_cluster()
        namespace = make_namespace(project, shared)
        owner = make_actor("tenant-owner", project.tenant)
        _, text = issue_token(SYSTEM, user_of(owner), name="ci")
        for one, group in (
            (cluster, cluster_group(cluster.pk, "cluster-admin")),
            (shared, project_group(project.pk, "tenant-owner")),
        ):
            Cluster.objects.filter(pk=one.pk).update(groups=[group])
            assert reach(load_snapshot(), text, one) == [group]
        Cluster.objects.filter(pk=cluster.pk).update(deletion_requested_at=timezone.now())
        ProjectNamespace.objects.filter(pk=namespace.pk).update(deletion_requested_at=timezone.now())
        assert reach(load_snapshot(), text, cluster) == reach(load_snapshot(), text, shared) == []

    def test_sec49_a_group_counts_until_it_should_have_been_confirmed_again_also_in_an_old_snapshot(self) -> None:
        project, cluster = make_project(), make_cluster()
        make_namespace(project, cluster)
        user, group = make_user(), make_group()
        join(user, group, ago=timedelta(hours=23))
        bind_role(SYSTEM, "project-viewer", group, project)
        wanted = project_group(project.pk, "project-viewer")
        Cluster.objects.filter(pk=cluster.pk).update(groups=[wanted])
        _, text = issue_token(SYSTEM, user, name="ci")
        snapshot, now = load_snapshot(), timezone.now()
        principal = authenticate(snapshot, text, now)
        assert principal is not None
        assert principal.actor.group_ids == {group.pk}
        assert groups_for(snapshot, principal, cluster.pk, now) == (wanted,)
        assert groups_for(snapshot, principal, cluster.pk, now + timedelta(minutes=59)) == (wanted,)
        assert groups_for(snapshot, principal, cluster.pk, now + timedelta(hours=1)) == ()

    def test_sec36_a_binding_ends_when_it_ends_also_in_an_old_snapshot(self) -> None:
        project, cluster = make_project(), make_cluster()
        make_namespace(project, cluster)
        user, now = make_user(), timezone.now()
        bind_role(SYSTEM, "project-viewer", user, project, expires_at=now + timedelta(hours=1))
        Cluster.objects.filter(pk=cluster.pk).update(groups=groups_wanted(cluster))
        _, text = issue_token(SYSTEM, user, name="ci")
        principal = authenticate(snapshot := load_snapshot(), text, now)
        assert principal is not None
        assert groups_for(snapshot, principal, cluster.pk, now) != ()
        assert groups_for(snapshot, principal, cluster.pk, now + timedelta(hours=1)) == ()

    def test_what_was_answered_before_is_known_until_something_of_it_ends_and_never_for_another(self) -> None:
        project, cluster = make_project(), make_cluster()
        make_namespace(project, cluster)
        user, now = make_user(), timezone.now()
        bind_role(SYSTEM, "project-viewer", user, project)
        bind_role(SYSTEM, "project-member", user, project, expires_at=now + timedelta(hours=1))
        Cluster.objects.filter(pk=cluster.pk).update(groups=groups_wanted(cluster))
        snapshot = load_snapshot()
        whole = Principal(user.pk, "x", uuid7(), TokenScope(), now + timedelta(days=1))
        narrow = replace(whole, scope=TokenScope(clusters=frozenset()))
        first = groups_for(snapshot, whole, cluster.pk, now)
        assert groups_for(snapshot, whole, cluster.pk, now + timedelta(minutes=59)) is first
        assert groups_for(snapshot, narrow, cluster.pk, now) == ()
        assert groups_for(snapshot, replace(whole, user_id=uuid7()), cluster.pk, now) == ()
        later = groups_for(snapshot, whole, cluster.pk, now + timedelta(hours=1))
        assert project_group(project.pk, "project-member") in first
        assert project_group(project.pk, "project-member") not in later
        assert project_group(project.pk, "project-viewer") in later
        assert groups_for(snapshot, whole, cluster.pk, now) == first, "asked about an earlier moment"

    def test_a_custom_role_comes_with_the_groups_of_what_it_inherits(self) -> None:
        project, cluster = make_project(), make_cluster()
        make_namespace(project, cluster)
        rules = [{"resources": ["clusters"], "verbs": ["proxy"]}]
        own = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
        text = RoleText("r", "", ["project"], rules, own, ["vm-console-user"])
        role = create_role(SYSTEM, project.tenant, text)
        actor = make_actor()
        bind(actor, role.key, project)
        Cluster.objects.filter(pk=cluster.pk).update(groups=groups_wanted(cluster))
        _, token = issue_token(SYSTEM, user_of(actor), name="ci")
        assert reach(load_snapshot(), token, cluster) == sorted(
            [
                project_group(project.pk, role.key),
                project_group(project.pk, "vm-console-user"),
                shared_group(cluster.pk),
            ]
        )
        assert set(member_roles_in_use(cluster)) == {role.key, "vm-console-user", "cluster-admin", "cluster-viewer"}
        assert member_roles_in_use(cluster)[role.key] == (PolicyRule("", ("secrets",), ("get",)),)

    def test_loading_costs_the_same_few_queries_at_any_size(
        self, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for _ in range(3):
            project = make_project()
            make_namespace(project, make_cluster())
            issue_token(SYSTEM, user_of(make_actor("project-viewer", project)), name="ci")
        with django_assert_num_queries(8):
            load_snapshot()


@pytest.mark.usefixtures("transactional_db")
class TestEpoch:
    def _moves(self, change: Callable[[], object]) -> bool:
        before = current_epoch()
        change()
        return current_epoch() != before

    def test_it_moves_with_everything_that_access_depends_on(self) -> None:
        user, other = make_user(), make_user()
        project, cluster = make_project(), make_cluster()
        token, _ = issue_token(SYSTEM, user, name="a")
        actor, group = make_actor("project-viewer", project), make_group()
        changes: dict[str, Callable[[], object]] = {
            "a new token": lambda: issue_token(SYSTEM, user, name="b"),
            "a revoked token": lambda: revoke_token(SYSTEM, token),
            "a role given": lambda: bind(actor, "project-viewer", project.tenant),
            "a role taken": lambda: unbind_role(SYSTEM, RoleBinding.objects.filter(user=user_of(actor))[0]),
            "a user disabled": lambda: set_user_active(make_actor("hub-admin"), user, False),
            "a session": lambda: start_session(other, peer="", user_agent=""),
            "an ended session": lambda: end_session(SYSTEM, Session.objects.get(), "logout"),
            "a membership": lambda: join(user, group),
            "groups confirmed again": lambda: ExternalIdentity.objects.update(groups_confirmed_at=timezone.now()),
            "a membership lost": lambda: GroupMembership.objects.all().delete(),
            "a role of a group": lambda: bind_role(SYSTEM, "project-viewer", group, project),
            "an end": lambda: set_binding_end(
                SYSTEM, RoleBinding.objects.get(group=group), timezone.now() + timedelta(hours=1)
            ),
            "a custom role": lambda: create_role(SYSTEM, None, RoleText("r", "", ["hub"], [], [], [])),
            "its rules": lambda: update_role(
                SYSTEM, Role.objects.get(), RoleText("r", "", ["hub"], [], [], ["hub-auditor"])
            ),
            "a password to change": lambda: User.objects.filter(pk=user.pk).update(must_change_password=True),
            "a new cluster": make_cluster,
            "a namespace": lambda: make_namespace(project, cluster),
            "by hand": lambda: Cluster.objects.filter(pk=cluster.pk).update(groups=["x"]),
            "a cascade": lambda: delete_project(SYSTEM, _project_with_a_binding()),
        }
        assert [name for name, change in changes.items() if not self._moves(change)] == []

    def test_it_stays_for_what_does_not_matter(self) -> None:
        token, _ = issue_token(SYSTEM, make_user(), name="a")
        cluster = make_cluster()
        changes: dict[str, Callable[[], object]] = {
            "last use": lambda: mark_used([token.pk], timezone.now()),
            "a probe": lambda: _write(cluster, last_seen_at=timezone.now(), node_count=3),
            "the same value again": lambda: Cluster.objects.filter(pk=cluster.pk).update(groups=[]),
            "a project": make_project,
        }
        assert [name for name, change in changes.items() if self._moves(change)] == []

    def test_it_moves_once_for_a_transaction(self) -> None:
        before = current_epoch()
        with transaction.atomic():
            for _ in range(5):
                issue_token(SYSTEM, make_user(), name="ci")
        assert current_epoch() == before + 1

    def test_it_does_not_move_before_the_change_can_be_seen(self) -> None:
        """A reader that polls while a transaction is open must not take the new epoch with the old rows."""
        user = make_user()
        before = current_epoch()
        changed, seen = threading.Event(), threading.Event()
        readings: list[tuple[int, int]] = []

        def read() -> None:
            changed.wait(10)
            readings.append((current_epoch(), len(load_snapshot().tokens)))
            seen.set()
            connection.close()

        reader = threading.Thread(target=read)
        reader.start()
        with transaction.atomic():
            issue_token(SYSTEM, user, name="ci")
            changed.set()
            assert seen.wait(10), "the reader waited for the writer"
        reader.join(10)
        assert readings == [(before, 0)]
        assert (current_epoch(), len(load_snapshot().tokens)) == (before + 1, 1)

    def test_two_writers_do_not_wait_for_each_others_transactions(self) -> None:
        first, second = make_user(), make_user()
        done = threading.Event()

        def write() -> None:
            issue_token(SYSTEM, second, name="ci")
            done.set()
            connection.close()

        other = threading.Thread(target=write)
        with transaction.atomic():
            issue_token(SYSTEM, first, name="ci")
            other.start()
            assert done.wait(10), "the epoch's row was locked before the commit"
        other.join(10)


def _project_with_a_binding() -> Project:
    project = make_project()
    make_actor("project-viewer", project)
    return project


def _write(cluster: Cluster, **values: object) -> None:
    for name, value in values.items():
        setattr(cluster, name, value)
    with transaction.atomic():
        record_update(cluster, values)
