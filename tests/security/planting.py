"""Plants a canary in every input of the hub that takes a secret, and keeps every secret that the hub makes.

Through the REST API where there is one, else through the service that the pages and commands use. What stores a secret and
is planted nowhere fails ``test_every_sealed_column_is_planted``: whoever adds a kind of secret plants it here.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
from collections.abc import Iterator
from typing import Any

import pyotp
from django.apps import apps
from django.db import models, transaction
from django.utils import timezone

from hub.audit.forwarders import create_forwarder
from hub.core.access import SYSTEM
from hub.core.changes import record_insert
from hub.core.keys import key_ring
from hub.core.sealed import SealedText
from hub.core.startup import check_start
from hub.identity.actors import actor_of
from hub.identity.cli_logins import LoginRequest, begin_device_login
from hub.identity.login_links import make_login_link
from hub.identity.models import (
    ExternalIdentity,
    IdentityProvider,
    ProviderDraft,
    ProviderKind,
    User,
)
from hub.identity.second_factor import begin_enrolment, confirm_enrolment
from hub.identity.sessions import start_session
from kube.kubeconfig import render_kubeconfig
from tests.hub.api.callers import Caller, make_caller
from tests.hub.api.world import Estate, make_estate
from tests.hub.builders import unique
from tests.security.canaries import Canaries

PASSWORD_START = "Tr0ub4dor-"


class Planted:
    """The estate with canaries in it. ``admin`` may do all, by token and by ``cookie``."""

    def __init__(self) -> None:
        self.canaries = Canaries()
        self.estate: Estate = make_estate()
        check_start()  # seals the hub's own canary
        self.admin = make_caller("hub-admin")
        self.canaries.token("bearer token", str(self.admin.token))
        self.owner = make_caller("tenant-owner", self.estate.tenant)
        self._plant_keys()
        self._plant_people()
        self._plant_sign_on()
        self._plant_projects()
        self._plant_clusters()
        self._plant_forwarders()
        self._plant_what_is_stored()

    def post(self, caller: Caller, path: str, body: Any, *, shows: str = "", key: str | None = None) -> Any:
        """The answer's document. The answer shows none of the secrets but the one it is there to show."""
        answer = caller.post(path, body, key=key)
        assert answer.status in {200, 201, 202}, (path, answer.body)
        found = [] if shows else self.canaries.found_in(answer.response.content)
        assert not found, (path, found)
        return answer.body

    def _plant_keys(self) -> None:
        ring = key_ring()
        for name, key in {
            "signing": ring.signing,
            **ring.peppers,
            ring.current: ring.masters.find(ring.current),
        }.items():
            assert key is not None
            self.canaries.add(f"key {name}", base64.b64encode(key).decode())
            self.canaries.add(f"key {name} in hex", key.hex())

    def _plant_people(self) -> None:
        password = PASSWORD_START + self.canaries.new("password of a new user")
        made = self.post(self.admin, "users", {"username": unique("u"), "password": password})
        changed = PASSWORD_START + self.canaries.new("password that was set")
        assert self.admin.patch(f"users/{made['id']}", {"password": changed}).status == 200
        wrong = self.canaries.new("password that was wrong")
        for name in (made["username"], self.canaries.new("password typed as a name")):
            header = base64.b64encode(f"{name}:{wrong}".encode()).decode()
            Caller().call("POST", "tokens", {"name": "t"}, headers={"Authorization": f"Basic {header}"})
        bad = self.canaries.token(
            "token of nobody", f"pdk_{'a' * 12}_{self.canaries.new('token of nobody').ljust(43, 'x')}"
        )
        assert Caller(token=bad).get("tenants").status == 401
        user = User.objects.get(pk=made["id"])
        User.objects.filter(pk=user.pk).update(must_change_password=False)
        self._plant_second_factor(user)
        self.canaries.token("login link", make_login_link(SYSTEM, user))
        _, cookie = start_session(User.objects.get(pk=self.admin.user_id), peer="192.0.2.1", user_agent="x")
        self.cookie = self.canaries.token("cookie of a session", cookie)

    def _plant_second_factor(self, user: User) -> None:
        enrolment = begin_enrolment(actor_of(user), user)
        self.canaries.add("secret of a second factor", enrolment.secret)
        code = pyotp.TOTP(enrolment.secret).now()
        for recovery in confirm_enrolment(actor_of(user), User.objects.get(pk=user.pk), code, peer="192.0.2.1"):
            self.canaries.add("recovery code", recovery)

    def _plant_sign_on(self) -> None:
        new = self.canaries.new
        provider = IdentityProvider(
            name=unique("idp"), kind=ProviderKind.KEYCLOAK, issuer=f"https://{unique('i')}.example"
        )
        provider.client_id = "hub"
        provider.client_secret = new("client secret of a provider")
        provider.admin_client_secret = new("client secret of its administration")
        draft = ProviderDraft(expires_at=timezone.now() + datetime.timedelta(hours=1))
        draft.client_secret, draft.admin_client_secret = (
            new("client secret under test"),
            new("the same for administration"),
        )
        identity = ExternalIdentity(provider=provider, user=self.estate.user, issuer=provider.issuer, subject="s")
        identity.refresh_token = new("refresh token")
        with transaction.atomic():
            for row in (provider, draft, identity):
                record_insert(row)
        secrets = {name: new(f"{name} set over REST") for name in ("client_secret", "admin_client_secret")}
        changed = self.admin.patch(f"identity-providers/{provider.pk}", secrets)
        assert (changed.status, self.canaries.found_in(changed.response.content)) == (200, []), changed.body
        _, cookie = start_session(
            self.estate.user,
            identity=identity,
            id_token=new("token of an identity"),
            peer="192.0.2.2",
            user_agent="x",
        )
        self.canaries.token("cookie of a session by a provider", cookie)
        request = LoginRequest(host="laptop", peer="192.0.2.3")
        self.canaries.token("device code", begin_device_login(request)[1])

    def _plant_projects(self) -> None:
        project, new = str(self.estate.project.pk), self.canaries.new
        pem = f"-----BEGIN PRIVATE KEY-----\n{new('private key of a credential')}\n-----END PRIVATE KEY-----\n"
        for kind, values in {
            "basic": {"username": "robot", "password": new("password of a credential")},
            "token": {"token": new("token of a credential")},
            "ssh_key": {"private_key": pem, "passphrase": new("passphrase of a credential")},
            "s3": {"access_key_id": "AK", "secret_access_key": new("secret key of a credential")},
        }.items():
            made = self.post(
                self.owner, "credentials", {"name": unique("c"), "project": project, "kind": kind, "values": values}
            )
            if kind == "token":
                changed = self.owner.patch(
                    f"credentials/{made['id']}", {"values": {"token": new("token of a changed one")}}
                )
                assert changed.status == 200
                self.credential = made["id"]
        token = self.post(self.owner, "tokens", {"name": "t"}, shows="token", key="kept-answer")["token"]
        self.canaries.token("API token, and an answer kept for repeating", token)
        invitation = self.post(
            self.owner, "invitations", {"project": project, "role": "project-viewer"}, shows="invitation"
        )
        self.canaries.token("link of an invitation", invitation["link"])
        account = self.post(self.owner, "service-accounts", {"name": unique("sa"), "project": project})
        made = self.post(self.owner, f"service-accounts/{account['id']}/tokens", {"name": "ci"}, shows="token")
        self.canaries.token("token of a service account", made["token"])

    def _plant_clusters(self) -> None:
        token = self.canaries.new("token in a pasted kubeconfig")
        kubeconfig = render_kubeconfig(name="a", server="https://harvester.example.org:6443", ca_pem=None, token=token)
        self.kubeconfig = kubeconfig
        answer = self.admin.post("clusters", {"name": unique("c"), "kind": "harvester", "kubeconfig": kubeconfig})
        assert (answer.status, self.canaries.found_in(answer.response.content)) == (202, [])

    def _plant_forwarders(self) -> None:
        key = base64.b64encode(self.canaries.new("secret of a webhook").encode()).decode()
        create_forwarder(SYSTEM, unique("f"), "https://10.9.9.9/", secret=f"whsec_{key}")
        _, made = create_forwarder(SYSTEM, unique("f"), "https://10.9.9.9/")
        self.canaries.add("secret of a webhook made by the hub", str(made).removeprefix("whsec_"))

    def _plant_what_is_stored(self) -> None:
        """Every sealed column of every row: what the hub made for itself, and canaries where there is nothing yet."""
        cluster, namespace = self.estate.cluster, self.estate.guest.namespace
        for row in (cluster, namespace):
            for column in sealed_columns(type(row)):
                if not getattr(row, column.attname):
                    setattr(row, column.attname, self.canaries.new(f"{type(row).__name__}.{column.name}"))
            row.save()
        self.planted_columns = set()
        for model in apps.get_models():
            for column in sealed_columns(model):
                for stored in model._base_manager.all():
                    if text := getattr(stored, column.attname).reveal():
                        self.planted_columns.add(f"{model.__name__}.{column.name}")
                        self._keep(f"{model.__name__}.{column.name}", text)

    def _keep(self, place: str, text: str) -> None:
        """Long secrets are known by their lines and members, for nobody leaks all of one."""
        if place in {"HubIdentity.canary", "KeptAnswer.body"} or text in self.canaries.places:
            return
        for secret in _texts(text):
            if keys := _PRIVATE_KEY.findall(secret):
                for body in keys:
                    lines = body.split()
                    self.canaries.places.setdefault(lines[len(lines) // 2], place)
            elif len(secret) >= 16 and "CERTIFICATE" not in secret:
                self.canaries.places.setdefault(secret, place)


_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)-----END", re.DOTALL)


def _texts(stored: str) -> Iterator[str]:
    """The texts of a document, or the one text that it is."""
    try:
        document = json.loads(stored) if stored.startswith("{") else stored
    except ValueError:
        document = stored
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, str):
            yield value


def sealed_columns(model: type[models.Model]) -> list[SealedText]:
    return [column for column in model._meta.concrete_fields if isinstance(column, SealedText)]
