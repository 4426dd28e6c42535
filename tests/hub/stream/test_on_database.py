"""The server on PostgreSQL: users, bindings, tokens and clusters made by the services, members played by a raw server."""

from __future__ import annotations

import time

import pytest
from django.db import connection, transaction

from hub.access.services import set_user_active, unbind_role
from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM, TokenScope
from hub.core.changes import record_update
from hub.federation.models import Cluster
from hub.federation.rights import cluster_group, project_group
from hub.identity.tokens import revoke_token
from tests.hub.builders import bind, make_actor, make_cluster, make_namespace, make_project, user_of
from tests.hub.stream.conftest import Served, at, bearer, token_of
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
    assert token.pk in served.server._usage._used


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


def still_works(served: Served, cluster: Cluster, text: str) -> bool:
    try:
        return served.ask("GET", at(cluster.pk), text).status == 200
    except (EOFError, OSError):  # it was under way when the right went
        return True


@pytest.mark.parametrize("how", ["the token", "the binding", "the user"])
def test_sec23_sec46_sec48_a_watch_ends_within_5_s_and_new_requests_within_2_s_of_the_revocation(
    served: Served, how: str
) -> None:
    make_actor("hub-admin")  # the hub keeps one
    maria = make_actor()
    binding = bind(maria, "hub-admin")
    cluster = served.cluster()
    token, text = token_of(maria)
    served.api.will(watch(b"e\n"))
    with served.client() as client:
        client.send(render("GET", at(cluster.pk, WATCH), *bearer(text)))
        assert client.head().status == 200
        assert client.chunk() == b"e\n"
        if how == "the token":
            revoke_token(SYSTEM, token)
        elif how == "the binding":
            unbind_role(SYSTEM, binding)
        else:
            set_user_active(SYSTEM, user_of(maria), False)
        began = time.monotonic()
        while still_works(served, cluster, text):
            time.sleep(0.05)
        assert time.monotonic() - began < 2.0
        client.ended()
        served.api.wait_for_ends()
        assert time.monotonic() - began < 5.0


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
