"""FLT-42: what cannot be recorded does not happen, whatever keeps the database from taking the event; reads go on."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from hub.audit.models import AuditEvent
from hub.core.models import Change
from hub.identity.models import ApiToken, User
from hub.operations.models import Operation
from hub.provisioning.models import GuestCluster
from hub.tenancy.models import Project, Tenant
from tests.hub.api.callers import Answer, Caller
from tests.hub.api.orders import Place, order
from tests.hub.builders import make_project
from tests.workers.stage import Stage

_TRIGGER = """
CREATE FUNCTION refuse_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER refuse_audit BEFORE INSERT ON audit_auditevent FOR EACH ROW EXECUTE FUNCTION refuse_audit();
"""
_ROLE = """
CREATE ROLE paddock_without_audit;
GRANT USAGE ON SCHEMA public TO paddock_without_audit;
GRANT ALL ON ALL TABLES IN SCHEMA public TO paddock_without_audit;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO paddock_without_audit;
REVOKE INSERT ON audit_auditevent FROM paddock_without_audit;
"""

Break = Callable[[], None]


@pytest.fixture(params=["a full disk", "a right that was revoked"])
def broken(request: pytest.FixtureRequest, db: None) -> Iterator[Break]:
    """Breaks the trail when it is called; all of it is gone with the test's transaction."""

    def break_it() -> None:
        with connection.cursor() as cursor:
            if request.param == "a full disk":
                cursor.execute(_TRIGGER)
            else:
                cursor.execute(_ROLE)
                cursor.execute("SET LOCAL ROLE paddock_without_audit")

    yield break_it
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE")


def refused(answer: Answer) -> None:
    assert (answer.status, answer.code, answer.response["Retry-After"]) == (503, "audit.unavailable", "5")


def rows() -> dict[str, int]:
    return {
        model.__name__: model._base_manager.count() for model in (Tenant, Project, User, ApiToken, Operation, Change)
    }


def test_flt42_nothing_is_created_changed_or_deleted(
    broken: Break, admin: Caller, tenant: Tenant, nobody: Caller
) -> None:
    project = make_project(tenant)
    before, name = rows(), tenant.name
    broken()
    refused(admin.post("tenants", {"name": "new"}))
    refused(admin.post("projects", {"name": "new", "tenant": str(tenant.pk)}))
    refused(admin.post("users", {"username": "new"}))
    refused(admin.post("tokens", {"name": "new"}))
    refused(admin.patch(f"tenants/{tenant.pk}", {"name": "renamed"}))
    refused(admin.delete(f"projects/{project.pk}"))
    assert rows() == before
    assert Tenant.objects.get(pk=tenant.pk).name == name


def test_flt42_no_work_is_started(broken: Break, stage: Stage, owner: Caller, place: Place) -> None:
    before = rows()
    broken()
    refused(owner.post("guest-clusters", order(place)))
    assert not GuestCluster.objects.exists()
    assert rows() == before


def test_flt42_a_key_for_repeating_is_free_again(broken: Break, admin: Caller) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT whole")
    broken()
    refused(admin.post("tenants", {"name": "new"}, key="k"))
    with connection.cursor() as cursor:
        cursor.execute("ROLLBACK TO SAVEPOINT whole")
    assert admin.post("tenants", {"name": "new"}, key="k").status == 201


@pytest.mark.parametrize("path", ["tenants", "projects", "audit-events", "whoami", "users", "operations"])
def test_flt42_reads_go_on(broken: Break, admin: Caller, path: str) -> None:
    broken()
    assert admin.get(path).status == 200


def test_flt42_a_refused_read_stays_refused_and_a_refused_change_is_not_hidden(
    broken: Break, nobody: Caller, owner: Caller, tenant: Tenant, admin: Caller
) -> None:
    broken()
    assert nobody.get("access/explain?verb=get").status in {400, 403, 404}
    refused(nobody.post("tenants", {"name": "new"}))
    assert Caller(token="pdk_" + "a" * 12 + "_" + "b" * 43).get("tenants").status == 401


def test_flt42_nobody_logs_in_unrecorded(broken: Break, admin: Caller) -> None:
    password = "correct-horse-battery"
    made: dict[str, Any] = admin.post("users", {"username": "maria", "password": password}).body
    User.objects.filter(pk=made["id"]).update(must_change_password=False)
    before = AuditEvent.objects.count()
    broken()
    header = base64.b64encode(f"maria:{password}".encode()).decode()
    answer = Caller().call("POST", "tokens", {"name": "t"}, headers={"Authorization": f"Basic {header}"})
    refused(answer)
    assert AuditEvent.objects.count() == before
    assert not ApiToken.objects.filter(user_id=made["id"]).exists()
