"""Lists over HTTP: pages, orders, filters, and query parameters that are refused."""

import base64
import json
import time
from typing import Any
from urllib.parse import quote

import pytest
from django.db import transaction

from hub.api import listing
from hub.core.access import SYSTEM
from hub.core.changes import record_update
from hub.federation.services import update_labels
from hub.tenancy.models import Tenant
from hub.tenancy.services import create_tenant, delete_tenant
from tests.hub.api.callers import Caller
from tests.hub.builders import make_cluster, make_project, make_tenant


def walk(caller: Caller, path: str, limit: int) -> list[Any]:
    """Every item of a list, page by page."""
    items: list[Any] = []
    after = ""
    while True:
        answer = caller.get(f"{path}{'&' if '?' in path else '?'}limit={limit}{after}")
        assert answer.status == 200, answer.body
        assert len(answer.body["items"]) <= limit
        items += answer.body["items"]
        if answer.body["continue"] is None:
            return items
        after = f"&continue={answer.body['continue']}"


def make_tenants(*names: str) -> None:
    for name in names:
        create_tenant(SYSTEM, name)


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
@pytest.mark.parametrize(("sort", "names"), [("name", "abcdef"), ("-name", "fedcba"), ("created_at", "cafebd")])
def test_pages_hold_every_row_once_and_in_order(admin: Caller, limit: int, sort: str, names: str) -> None:
    make_tenants(*"cafebd")
    assert "".join(item["name"] for item in walk(admin, f"tenants?sort={sort}", limit)) == names


def test_the_newest_come_first_unless_asked_otherwise(admin: Caller) -> None:
    make_tenants("a", "b", "c")
    assert [item["name"] for item in admin.items("tenants")] == ["c", "b", "a"]


def test_rows_of_one_moment_are_told_apart_by_their_ids(admin: Caller) -> None:
    make_tenants(*"abcdef")
    moment = Tenant.objects.earliest("created_at").created_at
    Tenant.objects.update(created_at=moment)
    for sort in ("created_at", "-created_at"):
        found = [item["id"] for item in walk(admin, f"tenants?sort={sort}", 2)]
        assert sorted(found, reverse=sort.startswith("-")) == found
        assert len(set(found)) == 6


def test_a_row_that_goes_or_comes_between_two_pages_shifts_none(admin: Caller) -> None:
    make_tenants(*"abcdef")
    first = admin.get("tenants?sort=name&limit=2").body
    delete_tenant(SYSTEM, Tenant.objects.get(name="b"))
    make_tenants("aa")
    second = admin.get(f"tenants?sort=name&limit=2&continue={first['continue']}").body
    assert [item["name"] for item in second["items"]] == ["c", "d"]


def test_an_empty_list_is_an_envelope(admin: Caller) -> None:
    assert admin.get("tenants").body == {"items": [], "continue": None}


def test_a_full_last_page_is_the_last(admin: Caller) -> None:
    make_tenants("a", "b")
    assert admin.get("tenants?limit=2").body["continue"] is None


@pytest.mark.parametrize("limit", ["0", "-1", "501", "ten", "", "1.0", "+5", "٣", "99999999999999999999", "1e2"])
def test_a_limit_out_of_range_is_refused(admin: Caller, limit: str) -> None:
    answer = admin.get(f"tenants?limit={quote(limit)}")
    assert (answer.status, answer.code) == (400, "query.invalid")
    assert answer.body["params"] == {"parameter": "limit", "least": 1, "most": listing.LARGEST_LIMIT}


@pytest.mark.parametrize(
    "name",
    ["nam", "NAME", "name__startswith", "tenant__name", "user__password_hash", "pk", "format", "_method", "q", "%00"],
)
@pytest.mark.parametrize("path", ["tenants", "tokens", "clusters", "audit-events"])
def test_sec75_a_parameter_that_nobody_declared_is_refused_with_those_there_are(
    admin: Caller, path: str, name: str
) -> None:
    answer = admin.get(f"{path}?{name}=x")
    assert (answer.status, answer.code) == (400, "query.unknown")
    assert {"limit", "continue", "sort"} < set(answer.body["params"]["known"])


@pytest.mark.parametrize("path", ["tenants/{id}", "whoami", "releases", "node-drivers"])
def test_other_routes_take_no_parameter_at_all(admin: Caller, path: str) -> None:
    answer = admin.get(f"{path.format(id=make_tenant().pk)}?limit=1")
    assert (answer.status, answer.code, answer.body["params"]["known"]) == (400, "query.unknown", [])


@pytest.mark.parametrize("query", ["name=a&name=b", "limit=1&limit=2", "sort=name&sort=name"])
def test_a_parameter_that_comes_twice_is_refused(admin: Caller, query: str) -> None:
    assert admin.get(f"tenants?{query}").code == "query.repeated"


@pytest.mark.parametrize(
    "sort", ["password", "id", "--name", "-", "", "version", "name,created_at", "?", "user__username"]
)
def test_sec75_an_order_that_is_not_offered_is_refused(admin: Caller, sort: str) -> None:
    answer = admin.get(f"tenants?sort={quote(sort)}")
    assert (answer.status, answer.code) == (400, "query.invalid")
    assert answer.body["params"] == {"parameter": "sort", "known": ["created_at", "name", "updated_at"]}


def continue_of(caller: Caller, path: str = "tenants?limit=1&sort=name") -> str:
    return str(caller.get(path).body["continue"])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: "garbage",
        lambda token: "",
        lambda token: token[:-4],
        lambda token: token + "AAAA",
        lambda token: ("B" if token[0] == "A" else "A") + token[1:],
        lambda token: token[::-1],
        lambda token: base64.urlsafe_b64encode(b"\0" * 16 + json.dumps([9e9, "", "a", "b"]).encode()).decode(),
        lambda token: "é" * 20,
        lambda token: "A" * 5000,
    ],
)
def test_a_continue_that_is_not_ours_is_refused(admin: Caller, spoil: Any) -> None:
    make_tenants("a", "b", "c")
    answer = admin.get(f"tenants?limit=1&sort=name&continue={quote(spoil(continue_of(admin)))}")
    assert (answer.status, answer.code) == (400, "list.continue_invalid")


@pytest.mark.parametrize(
    "path", ["tenants?sort=-name", "tenants?sort=created_at", "tenants?sort=name&name=a", "projects?sort=name"]
)
def test_a_continue_of_another_list_order_or_filter_is_refused(admin: Caller, path: str) -> None:
    make_tenants("a", "b", "c")
    answer = admin.get(f"{path}&limit=1&continue={continue_of(admin)}")
    assert (answer.status, answer.code) == (400, "list.continue_invalid")


def test_an_old_continue_tells_to_start_again(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tenants("a", "b")
    token = continue_of(admin)
    later = time.time() + listing.CONTINUE_SECONDS + 2
    monkeypatch.setattr(time, "time", lambda: later)
    answer = admin.get(f"tenants?limit=1&sort=name&continue={token}")
    assert (answer.status, answer.code) == (410, "list.continue_expired")


def test_sec41_a_continue_shows_nobody_more_than_he_may_see(admin: Caller, owner: Caller, tenant: Tenant) -> None:
    make_tenants("zzz", "zzzz")
    token = continue_of(admin)
    answer = owner.get(f"tenants?limit=1&sort=name&continue={token}")
    assert answer.status == 200
    assert {item["id"] for item in answer.body["items"]} <= {str(tenant.pk)}


def test_filters_narrow_a_list(admin: Caller) -> None:
    first, second = make_project(), make_project()
    assert admin.ids(f"projects?name={first.name}") == {str(first.pk)}
    assert admin.ids(f"projects?tenant={second.tenant_id}") == {str(second.pk)}
    assert admin.ids(f"projects?tenant={second.tenant_id}&name={first.name}") == set()


@pytest.mark.parametrize("value", ["x", "", "%00", "1", "None", "' OR 1=1", "018f3c8e-0000-7000-8000-00000000000"])
def test_a_malformed_id_in_a_filter_is_refused(admin: Caller, value: str) -> None:
    answer = admin.get(f"projects?tenant={quote(value, safe='%')}")
    assert (answer.status, answer.code, answer.body["params"]["parameter"]) == (400, "query.invalid", "tenant")


@pytest.mark.parametrize("value", ["a%00b", "%0a", "x" * 254, "%ed%a0%80"])
def test_a_text_that_no_name_can_be_is_refused_or_finds_nothing(admin: Caller, value: str) -> None:
    answer = admin.get(f"tenants?name={value}")
    assert answer.status == 400 or answer.body["items"] == []


def test_a_word_that_is_no_choice_is_refused_with_those_that_are(admin: Caller) -> None:
    answer = admin.get("clusters?kind=openstack")
    assert (answer.status, answer.body["params"]) == (400, {"parameter": "kind", "known": ["harvester", "kubernetes"]})


def test_clusters_are_found_by_label(admin: Caller) -> None:
    berlin, other = make_cluster(), make_cluster()
    update_labels(SYSTEM, berlin, {"site": "berlin", "example.org/tier": "edge"})
    update_labels(SYSTEM, other, {"site": "porto"})
    assert admin.ids("clusters?label=site%3Dberlin") == {str(berlin.pk)}
    assert admin.ids("clusters?label=site") == {str(berlin.pk), str(other.pk)}
    assert admin.ids("clusters?label=example.org/tier%3Dedge") == {str(berlin.pk)}
    assert admin.ids("clusters?label=site%3D") == set()
    assert admin.get("clusters?label=%3Dberlin").code == "query.invalid"


def test_a_change_of_a_row_moves_its_version(admin: Caller) -> None:
    tenant = make_tenant()
    with transaction.atomic():
        record_update(tenant, ["display_name"])
    assert [item["version"] for item in admin.items("tenants")] == [2]
