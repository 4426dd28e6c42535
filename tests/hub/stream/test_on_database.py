"""The server on PostgreSQL: users, bindings, tokens and clusters made by the services, members played by a raw server."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.utils import timezone

from hub.access.services import bind_role, set_user_active, unbind_role
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM, TokenScope
from hub.core.changes import record_update
from hub.federation.models import Cluster
from hub.federation.rights import cluster_group, project_group
from hub.identity.models import ExternalIdentity, Group, GroupMembership, IdentityProvider, Session, User
from hub.identity.sessions import end_session, start_session
from hub.identity.tokens import issue_token, revoke_token
from hub.stream import usage
from hub.tenancy.service_accounts import create_service_account
from tests.hub.builders import make_actor, make_cluster, make_namespace, make_project, unique, user_of
from tests.hub.stream.conftest import Served, at, bearer, cookie, token_of
from tests.hub.stream.raw_client import render
from tests.hub.stream.recording_api import answer, watch

pytestmark = pytest.mark.usefixtures("transactional_db")

WATCH = "/api/v1/pods?watch=1"


def test_a_token_works_from_the_moment_it_is_issued_and_its_use_is_noted(served: Served) -> None:
    admin = make_actor("hub-admin")
    cluster = served.cluster()
    for _ in range(3):
        token, text = token_of(admin)
        assert served.ask("GET", at(cluster.pk), text).status == 200
    seen = served.api.requests[0]
    assert seen.all("authorization") == ["Bearer account-of-the-hub"]
    assert seen.all("impersonate-user") == [f"paddock:user:{admin.name}"]
    assert seen.all("impersonate-group") == [cluster_group(cluster.pk, "cluster-admin")]
    assert token.pk in served.server._usage._tokens


def test_groups_follow_project_and_token(served: Served) -> None:
    project = make_project()
    viewer, owner = make_actor("project-viewer", project), make_actor("tenant-owner", project.tenant)
    cluster = served.cluster(groups=[project_group(project.pk, key) for key in ("tenant-owner", "project-viewer")])
    make_namespace(project, cluster)
    stranger = make_actor("tenant-owner", make_project().tenant)
    assert served.ask("GET", at(cluster.pk), token_of(viewer)[1]).status == 200
    assert served.ask("GET", at(cluster.pk), token_of(owner)[1]).status == 200
    assert served.ask("GET", at(cluster.pk), token_of(owner, TokenScope(read_only=True))[1]).status == 200
    assert served.ask("GET", at(cluster.pk), token_of(stranger)[1]).status == 404
    assert [seen.all("impersonate-group") for seen in served.api.requests] == [
        [project_group(project.pk, "project-viewer")],
        [project_group(project.pk, "tenant-owner")],
        [project_group(project.pk, "project-viewer")],
    ]


def test_the_trail_has_the_event_before_the_member_has_the_request(served: Served) -> None:
    project = make_project()
    owner = make_actor("tenant-owner", project.tenant)
    cluster = served.cluster(project)
    token, text = token_of(owner)
    path = "/api/v1/namespaces/x/secrets/s"
    served.api.will(answer(status="409 Conflict"), answer())
    assert served.ask("PUT", at(cluster.pk, path), text, b"{}").status == 409
    assert served.ask("GET", at(cluster.pk, path), text).status == 200
    assert served.ask("GET", at(cluster.pk, "/api/v1/pods"), text).status == 200
    deadline = time.monotonic() + 5
    while AuditEvent.objects.filter(detail__proxied=True).count() < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    events = list(AuditEvent.objects.filter(detail__proxied=True).order_by("at", "id"))
    assert sorted((event.verb, event.outcome) for event in events) == [
        ("get", "succeeded"),
        ("update", "failed"),
        ("update", "succeeded"),
    ]
    first = events[0]
    assert (first.actor_id, first.actor_name, first.token_id) == (owner.id, owner.name, token.pk)
    assert (first.resource, first.object_name, first.cluster_id) == ("secrets", "s", cluster.pk)
    assert (first.tenant_id, first.project_id, first.source_ip) == (project.tenant_id, project.pk, "127.0.0.1")
    assert first.request_id == served.api.requests[0].all("x-request-id")[0]


def test_sec17_a_token_for_one_cluster_is_refused_at_another(served: Served) -> None:
    admin = make_actor("hub-admin")
    a, b = served.cluster(), served.cluster()
    _, text = token_of(admin, TokenScope(clusters=frozenset({a.pk})))
    assert served.ask("GET", at(a.pk), text).status == 200
    assert served.ask("GET", at(b.pk), text).status == 404


def still_works(served: Served, cluster: Cluster, *shown: str) -> bool:
    try:
        with served.client() as client:
            return client.request("GET", at(cluster.pk), *shown).status == 200
    except (EOFError, OSError):  # it was under way when the right went
        return True


REVOCATIONS = (
    "the token",
    "the session",
    "its token",
    "the binding",
    "the user",
    "the password",
    "the group",
    "a time",
)


@pytest.mark.parametrize("how", REVOCATIONS)
def test_sec23_sec46_sec48_a_watch_ends_within_5_s_and_new_requests_within_2_s_of_the_revocation(
    served: Served, how: str
) -> None:
    make_actor("hub-admin")  # the hub keeps one
    maria = user_of(make_actor())
    cluster = served.cluster()
    session, text = start_session(maria, peer="127.0.0.1", user_agent="test")
    token, token_text = issue_token(SYSTEM, maria, name="t", session=session if how == "its token" else None)
    shown = bearer(token_text) if how in {"the token", "its token"} else [cookie(text)]
    identity = member_of_a_group(maria)
    holder = identity.memberships.get().group if how == "the group" else maria
    ends_at = timezone.now() + datetime.timedelta(seconds=4) if how == "a time" else None
    binding = bind_role(SYSTEM, "hub-admin", holder, expires_at=ends_at)
    revoke: dict[str, Callable[[], object]] = {
        "the token": lambda: revoke_token(SYSTEM, token),
        "the session": lambda: end_session(SYSTEM, session, "test"),
        "its token": lambda: end_session(SYSTEM, session, "test"),
        "the binding": lambda: unbind_role(SYSTEM, binding),
        "the user": lambda: set_user_active(SYSTEM, maria, False),
        "the password": lambda: User.objects.filter(pk=maria.pk).update(must_change_password=True),
        "the group": lambda: identity.memberships.all().delete(),
        "a time": lambda: time.sleep(max(0.0, ((ends_at or timezone.now()) - timezone.now()).total_seconds())),
    }
    served.api.will(watch(b"e\n"))
    with served.client() as client:
        client.send(render("GET", at(cluster.pk, WATCH), *shown))
        assert client.head().status == 200
        assert client.chunk() == b"e\n"
        revoke[how]()
        began = time.monotonic()
        while still_works(served, cluster, *shown):
            time.sleep(0.05)
        assert time.monotonic() - began < 2.0
        client.ended()
        served.api.wait_for_ends()
        assert time.monotonic() - began < 5.0


def member_of_a_group(user: User) -> ExternalIdentity:
    """The user is known to a provider, which has just said that he is in one group."""
    provider = IdentityProvider(
        name=unique("p"), kind="oidc", issuer=f"https://{unique('idp')}.example.org", client_id="c"
    )
    group = Group(provider=provider, key="/staff")
    identity = ExternalIdentity(
        provider=provider, user=user, issuer=provider.issuer, subject="s", groups_confirmed_at=timezone.now()
    )
    for row in (provider, group, identity, GroupMembership(identity=identity, group=group)):
        row.save(force_insert=True)
    return identity


def test_the_use_of_a_session_is_noted_at_most_once_a_minute(served: Served) -> None:
    cluster, user = served.cluster(), user_of(make_actor("hub-admin"))
    session, text = start_session(user, peer="127.0.0.1", user_agent="test")
    assert still_works(served, cluster, cookie(text))
    assert served.server._usage._sessions == {session.pk}

    def seen_at(before: datetime.datetime) -> datetime.datetime:
        Session.objects.filter(pk=session.pk).update(last_seen_at=before)
        usage._write([], [session.pk])
        return Session.objects.get(pk=session.pk).last_seen_at

    just_now, earlier = (timezone.now() - datetime.timedelta(seconds=seconds) for seconds in (30, 90))
    assert seen_at(just_now) == just_now
    assert seen_at(earlier) > just_now
    assert Session.objects.get(pk=session.pk).version == session.version


def test_a_service_account_comes_under_a_name_of_its_own(served: Served) -> None:
    project = make_project()
    account = create_service_account(SYSTEM, project, "ci")
    bind_role(SYSTEM, "project-viewer", account.user, project)
    cluster = served.cluster(groups=[project_group(project.pk, "project-viewer")])
    make_namespace(project, cluster)
    _, text = issue_token(SYSTEM, account.user, name="ci")
    assert served.ask("GET", at(cluster.pk), text).status == 200
    name = f"{project.tenant.name}:{project.name}:ci"
    assert served.api.requests[0].all("impersonate-user") == [f"paddock:serviceaccount:{name}"]


def test_sec26_connections_that_the_database_cuts_are_made_anew(served: Served) -> None:
    admin = make_actor("hub-admin")
    cluster, (_, text) = served.cluster(), token_of(admin)
    for _ in range(2):
        assert served.ask("POST", at(cluster.pk), text, b"{}").status == 200
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert cursor.fetchone()[0] >= 1
    assert served.ask("POST", at(cluster.pk), text, b"{}").status == 200
    assert served.ask("GET", at(cluster.pk), token_of(admin)[1]).status == 200


def test_flt25_a_cluster_that_is_gone_or_not_registered_is_told(served: Served) -> None:
    admin = make_actor("hub-admin")
    _, text = token_of(admin)
    cluster = served.cluster()
    assert served.ask("GET", at(cluster.pk), text).status == 200
    unregistered = make_cluster()
    unregistered.groups = [cluster_group(unregistered.pk, "cluster-admin")]
    with transaction.atomic():
        record_update(unregistered, ["groups"])
    refused = served.ask("GET", at(unregistered.pk), text)
    assert (refused.status, refused.code) == (503, "cluster.unavailable")
