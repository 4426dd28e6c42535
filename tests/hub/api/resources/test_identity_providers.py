"""/api/v1/identity-providers, /api/v1/provider-tests and /api/v1/groups"""

import json
from typing import Any

import pytest

from hub.audit.models import AuditEvent
from hub.identity.groups import ensure_group
from hub.identity.models import Group, IdentityProvider, ProviderDraft
from tests.bed.scripted_provider import ScriptedProvider
from tests.hub.api.callers import Caller, make_caller
from tests.hub.builders import make_tenant

pytestmark = pytest.mark.django_db

SECRET = "a-secret-of-the-client"
BODY = {"name": "sso", "kind": "oidc", "issuer": "https://sso.example.com", "client_id": "hub", "client_secret": SECRET}


def body(**changes: Any) -> dict[str, Any]:
    return {**BODY, **changes}


class TestProviders:
    def test_a_new_one_lets_nobody_in_yet_and_shows_what_to_register(self, admin: Caller) -> None:
        made = admin.post("identity-providers", body())
        assert made.status == 201
        assert (made.body["is_enabled"], made.body["has_client_secret"], made.body["tested_at"]) == (False, True, None)
        assert made.body["redirect_uri"].endswith("/login/sso/callback")
        assert made.body["back_channel_uri"].endswith("/logout/sso/backchannel")
        assert made.location.endswith(made.body["id"])

    def test_sec01_the_secret_goes_in_and_never_comes_out(self, admin: Caller) -> None:
        made = admin.post("identity-providers", body(admin_client_secret="another-" + SECRET))
        path = f"identity-providers/{made.body['id']}"
        changed = admin.patch(path, {"client_secret": "new-" + SECRET, "client_id": "hub2"})
        assert changed.status == 200
        answers = [made, changed, admin.get(path), admin.get("identity-providers")]
        assert not any(SECRET in json.dumps(answer.body) for answer in answers)
        assert not any(SECRET in json.dumps([event.detail, event.changes]) for event in AuditEvent.objects.all())
        assert IdentityProvider.objects.get().client_secret.reveal() == "new-" + SECRET

    def test_a_secret_that_is_not_named_stays_and_an_empty_one_goes(self, admin: Caller) -> None:
        path = f"identity-providers/{admin.post('identity-providers', body()).body['id']}"
        assert admin.patch(path, {"display_name": "Company"}).body["has_client_secret"] is True
        assert IdentityProvider.objects.get().client_secret.reveal() == SECRET
        assert admin.patch(path, {"client_secret": ""}).body["has_client_secret"] is False

    @pytest.mark.parametrize(
        ("changes", "pointer"),
        [
            ({"name": "Not a label"}, "/name"),
            ({"name": "second-factor"}, "/name"),
            ({"name": "x" * 41}, "/name"),
            ({"issuer": "http://sso.example.com"}, "/issuer"),
            ({"issuer": "https://user:pw@sso.example.com"}, "/issuer"),
            ({"issuer": "https://sso.example.com?x=1"}, "/issuer"),
            ({"issuer": "https://sso.example.com#x"}, "/issuer"),
            ({"kind": "saml"}, "/kind"),
            ({"scopes": ["openid profile"]}, "/scopes"),
            ({"group_key": "name"}, "/group_key"),
            ({"allowed_groups": ["staff"]}, "/allowed_groups"),
            ({"allowed_groups": ["/system:masters"]}, "/allowed_groups"),
            ({"username_claim": ""}, "/username_claim"),
            ({"client_secret": 7}, "/client_secret"),
            ({"is_enabled": True}, "/is_enabled"),
        ],
        ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else "",
    )
    def test_what_cannot_be_is_refused_with_its_place(
        self, admin: Caller, changes: dict[str, Any], pointer: str
    ) -> None:
        answer = admin.post("identity-providers", body(**changes))
        assert answer.status == 400
        places = {fault["pointer"] for fault in answer.body.get("errors", [])} | {answer.body.get("pointer")}
        assert pointer in places
        assert not IdentityProvider.objects.exists()

    def test_name_and_issuer_are_there_once(self, admin: Caller) -> None:
        admin.post("identity-providers", body())
        assert admin.post("identity-providers", body(issuer="https://other.example.com")).code == "provider.exists"
        assert admin.post("identity-providers", body(name="other")).code == "provider.exists"

    @pytest.mark.parametrize(
        "changes", [{"name": "other"}, {"issuer": "https://other.example.com"}, {"kind": "keycloak"}]
    )
    def test_what_identities_hang_on_stays(self, admin: Caller, changes: dict[str, str]) -> None:
        path = f"identity-providers/{admin.post('identity-providers', body()).body['id']}"
        assert admin.patch(path, changes).code == "provider.fixed"

    def test_a_change_of_an_older_version_is_refused(self, admin: Caller) -> None:
        made = admin.post("identity-providers", body())
        path = f"identity-providers/{made.body['id']}"
        admin.patch(path, {"display_name": "A"})
        assert admin.patch(path, {"display_name": "B"}, etag=made.etag).status == 412
        assert admin.delete(path, etag=made.etag).status == 412
        assert admin.delete(path).status == 204

    @pytest.mark.parametrize("role", [None, "tenant-owner"])
    def test_only_administrators_have_to_do_with_them(self, admin: Caller, role: str | None) -> None:
        id = admin.post("identity-providers", body()).body["id"]
        caller = make_caller(role, make_tenant()) if role else make_caller()
        assert caller.post("identity-providers", body(name="mine")).status == 403
        assert caller.items("identity-providers") == []
        assert caller.get(f"identity-providers/{id}").status == 404
        assert caller.delete(f"identity-providers/{id}").status == 404
        assert caller.post(f"identity-providers/{id}/test", {}).status == 404
        assert caller.post("provider-tests", body(name="mine")).status == 403

    def test_only_a_keycloak_is_searched(self, admin: Caller) -> None:
        id = admin.post("identity-providers", body()).body["id"]
        assert admin.post(f"identity-providers/{id}/search", {"search": "x"}).code == "provider.no_search"


class TestTests:
    def test_the_first_steps_are_taken_at_once(self, admin: Caller, scripted: ScriptedProvider, loopback: None) -> None:
        made = admin.post("provider-tests", body(issuer=scripted.issuer, ca_pem=scripted.ca_pem))
        assert made.status == 201
        states = {step["name"]: step["state"] for step in made.body["steps"]}
        assert states == {"discovery": "passed", "keys": "passed", "login": "pending", "groups": "pending"}
        assert made.body["page"] == f"/providers/test/{made.body['id']}"
        assert SECRET not in json.dumps(admin.get(f"provider-tests/{made.body['id']}").body)
        assert admin.post(f"provider-tests/{made.body['id']}/save", {}).code == "provider_test.not_passed"
        assert not IdentityProvider.objects.exists()

    def test_sec58_a_refused_address_is_a_failed_step_with_what_to_do(self, admin: Caller) -> None:
        made = admin.post("provider-tests", body(issuer="https://169.254.169.254"))
        step = made.body["steps"][0]
        assert (step["name"], step["state"]) == ("discovery", "failed")
        assert "not allowed" in step["message"]
        assert "PADDOCK_ADDRESS_ALLOW" in step["fix"]

    def test_one_that_is_there_is_tested_with_the_secret_it_has(
        self, admin: Caller, scripted: ScriptedProvider, provider: IdentityProvider
    ) -> None:
        made = admin.post(f"identity-providers/{provider.pk}/test", {})
        assert (made.status, made.body["provider"]) == (201, str(provider.pk))
        draft = ProviderDraft.objects.get()
        assert draft.client_secret.reveal() == scripted.client_secret


class TestGroups:
    def test_they_are_found_by_provider_key_and_part_of_it(self, admin: Caller, provider: IdentityProvider) -> None:
        for key in ("/staff/auditors", "/staff/admins", "/other"):
            ensure_group(provider, key)
        assert [group["key"] for group in admin.items("groups?sort=key")] == [
            "/other",
            "/staff/admins",
            "/staff/auditors",
        ]
        assert {group["key"] for group in admin.items("groups?search=STAFF")} == {"/staff/admins", "/staff/auditors"}
        assert [group["provider_name"] for group in admin.items("groups?key=/other")] == ["sso"]
        assert admin.items("groups?provider=00000000-0000-0000-0000-000000000000") == []

    def test_one_is_made_when_it_is_named_and_once(self, admin: Caller, provider: IdentityProvider) -> None:
        path = f"identity-providers/{provider.pk}/groups"
        first, second = admin.post(path, {"key": "/a"}), admin.post(path, {"key": "/a"})
        assert (first.status, first.body["id"]) == (201, second.body["id"])
        assert Group.objects.count() == 1

    @pytest.mark.parametrize("key", ["a", "/", "system:masters", "/system:masters", " /a", "/a\n", ""])
    def test_sec50_what_the_provider_never_tells_is_no_group(
        self, admin: Caller, provider: IdentityProvider, key: str
    ) -> None:
        assert admin.post(f"identity-providers/{provider.pk}/groups", {"key": key}).status == 400
        assert not Group.objects.exists()

    def test_who_has_no_right_at_the_hub_sees_none(self, provider: IdentityProvider) -> None:
        ensure_group(provider, "/secret-project")
        assert make_caller().items("groups") == []
