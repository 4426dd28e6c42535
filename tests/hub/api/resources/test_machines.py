"""/api/v1/machines and the log below each."""

import pytest

from hub.core.ids import uuid7
from hub.operations import services as operations
from hub.operations.models import Level
from tests.hub.api.callers import Caller, make_caller
from tests.hub.api.world import Estate, make_estate
from tests.workers.stage import Stage


@pytest.fixture
def estate(stage: Stage) -> Estate:
    return make_estate()


@pytest.fixture
def viewer(estate: Estate) -> Caller:
    """A viewer of the estate's project."""
    return make_caller("project-viewer", estate.project)


def test_a_machine_is_shown_with_its_pool_and_cluster(estate: Estate, viewer: Caller) -> None:
    body = viewer.get(f"machines/{estate.machine.pk}").body
    assert body["name"].startswith("web-workers-")
    assert (body["role"], body["attempt"], body["address"]) == ("worker", 1, "")
    assert (body["guest_cluster"], body["pool"]) == (str(estate.guest.pk), str(estate.pool.pk))
    assert body["conditions"] == []


def test_machines_are_filtered_by_cluster_pool_role_and_name(estate: Estate, viewer: Caller) -> None:
    id = str(estate.machine.pk)
    for query in (
        f"guest_cluster={estate.guest.pk}",
        f"pool={estate.pool.pk}",
        "role=worker",
        f"name={estate.machine.name}",
    ):
        assert viewer.ids(f"machines?{query}") == {id}, query
    assert viewer.ids("machines?role=server") == set()
    assert viewer.ids(f"machines?pool={uuid7()}") == set()


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "PUT"])
def test_machines_are_made_and_removed_by_the_hub_alone(estate: Estate, method: str, admin: Caller) -> None:
    path = "machines" if method == "POST" else f"machines/{estate.machine.pk}"
    assert admin.call(method, path, {}, headers={"If-Match": "*"}).status == 405


def log_path(estate: Estate) -> str:
    return f"machines/{estate.machine.pk}/log"


def test_the_log_is_told_from_the_oldest_line_on(estate: Estate, viewer: Caller) -> None:
    operations.log(
        "no address yet",
        machine_id=estate.machine.pk,
        tenant_id=estate.tenant.pk,
        attempt=2,
        step="address",
        level=Level.WARNING,
    )
    lines = viewer.items(log_path(estate))
    assert [line["text"] for line in lines] == ["ordered", "booting", "no address yet"]
    assert set(lines[2]) == {"at", "attempt", "step", "level", "text"}
    assert (lines[2]["attempt"], lines[2]["step"], lines[2]["level"]) == (2, "address", "warning")


def test_the_log_comes_in_pages_and_the_newest_first_when_asked(estate: Estate, viewer: Caller) -> None:
    for number in range(3):
        operations.log(f"line {number}", machine_id=estate.machine.pk, tenant_id=estate.tenant.pk)
    first = viewer.get(f"{log_path(estate)}?limit=3")
    rest = viewer.get(f"{log_path(estate)}?limit=3&continue={first.body['continue']}")
    assert [line["text"] for line in first.body["items"] + rest.body["items"]] == [
        "ordered", "booting", "line 0", "line 1", "line 2",
    ]  # fmt: skip
    assert rest.body["continue"] is None
    assert viewer.items(f"{log_path(estate)}?sort=-at&limit=1")[0]["text"] == "line 2"


def test_a_continue_of_one_machines_log_opens_no_other(estate: Estate, admin: Caller) -> None:
    other = make_estate()
    operations.log("only here", machine_id=estate.machine.pk, tenant_id=estate.tenant.pk)
    token = admin.get(f"{log_path(estate)}?limit=1").body["continue"]
    assert "only here" in [line["text"] for line in admin.items(f"{log_path(estate)}?continue={token}")]
    assert "only here" not in admin.get(f"{log_path(other)}?continue={token}").response.content.decode()


def test_the_log_of_a_machine_that_is_gone_is_there_for_the_owner_of_its_tenant(estate: Estate, admin: Caller) -> None:
    owner, foreigner = make_caller("tenant-owner", estate.tenant), make_caller("tenant-owner", make_estate().tenant)
    path = log_path(estate)
    estate.machine.delete()
    for caller in (owner, admin):
        assert [line["text"] for line in caller.items(path)] == ["ordered", "booting"]
    assert foreigner.get(path).status == 404


def test_the_log_of_a_machine_that_is_gone_is_closed_to_who_sees_a_part_of_the_tenant(
    estate: Estate, viewer: Caller
) -> None:
    """Lines do not say whose project they were."""
    path = log_path(estate)
    assert viewer.get(path).status == 200
    estate.machine.delete()
    assert viewer.get(path).status == 404


def test_a_token_without_the_right_to_read_sees_no_log(estate: Estate, admin: Caller) -> None:
    assert admin.narrowed(verbs=frozenset({"create"})).get(log_path(estate)).status == 404


def test_sec40_missing_foreign_and_malformed_machines_have_one_answer(estate: Estate) -> None:
    owner = make_caller("tenant-owner", make_estate().tenant)
    answers = [owner.get(f"machines/{id}/log") for id in (estate.machine.pk, uuid7(), "x", "%00")]
    assert [answer.status for answer in answers] == [404] * 4
    assert all(answer.problem == answers[0].problem for answer in answers)


def test_the_log_takes_the_parameters_of_a_list_and_no_others(estate: Estate, viewer: Caller) -> None:
    assert viewer.get(f"{log_path(estate)}?level=error").code == "query.unknown"
    assert viewer.get(f"{log_path(estate)}?limit=0").code == "query.invalid"
    assert viewer.call("POST", log_path(estate), {}).status == 405
