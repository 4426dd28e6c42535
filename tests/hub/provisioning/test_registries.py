"""Registries of an order: their secrets are named by credentials of the project, and never in the order."""

import base64
import gzip
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from django.db import connection

from hub.audit.models import AuditEvent
from hub.core.access import SYSTEM, Actor
from hub.core.errors import HubError
from hub.core.ids import uuid7
from hub.provisioning.models import GuestCluster, GuestCredential
from hub.provisioning.registries import resolve_registries
from hub.provisioning.services import order_guest_cluster
from hub.tenancy.credentials import create_credential, delete_credential
from hub.tenancy.models import Credential, Project
from tests.hub.builders import make_actor, make_project
from tests.workers.stage import Stage, build_order

pytestmark = pytest.mark.django_db

CANARY = "c4n4ry-of-the-registry"
HOST = "registry.example.org:5000"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def credential(project: Project) -> Credential:
    return create_credential(SYSTEM, project, "registry", "basic", {"username": "robot", "password": CANARY})


def options(credential: Credential | None = None, /, **entry: Any) -> dict[str, Any]:
    named = {"credential": str(credential.pk)} if credential else {}
    return {
        "registries": {
            "mirrors": {"docker.io": {"endpoints": [f"https://{HOST}"]}},
            "access": {HOST: {**named, **entry}},
        }
    }


def order(actor: Actor, project: Project, chosen: dict[str, Any]) -> GuestCluster:
    guest, _ = order_guest_cluster(actor, build_order(project=project, options=chosen))
    return guest


def faults(actor: Actor, project: Project, chosen: dict[str, Any]) -> dict[str | None, str]:
    with pytest.raises(HubError) as caught:
        order(actor, project, chosen)
    assert CANARY not in repr(caught.value) + str(caught.value.params)
    return {cause.pointer: cause.code for cause in caught.value.causes}


NAMED = f"/options/registries/access/{HOST}/credential"


def test_sec02_a_machine_is_told_the_secret_and_the_order_is_not(
    stage: Stage, project: Project, credential: Credential
) -> None:
    guest = order(SYSTEM, project, options(credential))
    assert CANARY not in json.dumps(GuestCluster.objects.values("options").get()["options"])
    registries = resolve_registries(guest)
    assert registries is not None
    assert CANARY in registries.files("/etc/x")[0].content
    assert CANARY not in repr(registries)

    def told() -> set[str]:
        return {part.kind for part in stage.infrastructure.parts.values() if _says(part.data, CANARY)}

    stage.until(lambda: bool(told()))
    assert told() == {"Secret"}


def _says(data: Mapping[str, str], text: str) -> bool:
    """Whether cloud-init's files, which travel compressed or in base64, hold the text."""
    content = "".join(data.values())
    packed = re.findall(r"[A-Za-z0-9+/]{40,}={0,2}", content)
    return text in content or any(text in _unpacked(one) for one in packed)


def _unpacked(packed: str) -> str:
    try:
        raw = base64.b64decode(packed)
        return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode(errors="replace")
    except ValueError:
        return ""


def test_a_token_is_told_as_an_identity_token(stage: Stage, project: Project) -> None:
    credential = create_credential(SYSTEM, project, "registry", "token", {"token": CANARY})
    registries = resolve_registries(order(SYSTEM, project, options(credential)))
    assert registries is not None
    assert registries.access[HOST].identity_token == CANARY


def test_mirrors_and_trust_need_no_credential(stage: Stage, project: Project) -> None:
    registries = resolve_registries(order(SYSTEM, project, options(insecure_skip_verify=True)))
    assert registries is not None
    assert registries.access[HOST].insecure_skip_verify
    assert registries.mirrors["docker.io"].endpoints == (f"https://{HOST}",)


def test_sec08_a_credential_resolves_in_its_own_project_alone(
    stage: Stage, project: Project, credential: Credential
) -> None:
    sibling, stranger = make_project(project.tenant), make_project()
    for other in (sibling, stranger):
        assert faults(SYSTEM, other, options(credential)) == {NAMED: "credential.not_usable"}


def test_sec07_who_may_not_use_it_cannot_order_with_it(stage: Stage, project: Project, credential: Credential) -> None:
    viewer = make_actor("project-viewer", project)
    assert faults(viewer, project, options(credential)) == {NAMED: "credential.not_usable"}
    member = make_actor("project-member", project)
    assert order(member, project, options(credential)).pk
    event = AuditEvent.objects.get(verb="use", resource="credentials")
    assert (event.actor_id, event.object_id) == (member.id, credential.pk)


@pytest.mark.parametrize("kind", ["missing", "ssh_key", "s3"])
def test_missing_ones_and_those_of_another_kind_are_one_answer(stage: Stage, project: Project, kind: str) -> None:
    wrong = Credential(pk=uuid7())
    if kind == "s3":
        wrong = create_credential(SYSTEM, project, "s3", "s3", {"access_key_id": "a", "secret_access_key": CANARY})
    if kind == "ssh_key":
        pem = "-----BEGIN PRIVATE KEY-----\nYQ==\n-----END PRIVATE KEY-----\n"
        wrong = create_credential(SYSTEM, project, "key", "ssh_key", {"private_key": pem})
    assert faults(SYSTEM, project, options(wrong)) == {NAMED: "credential.not_usable"}


@pytest.mark.parametrize("entry", [{"password": CANARY}, {"username": "a", "password": CANARY}, {"auth": CANARY}])
def test_sec02_a_secret_inside_the_order_is_refused(stage: Stage, project: Project, entry: dict[str, str]) -> None:
    assert set(faults(SYSTEM, project, options(None, **entry)).values()) == {"guest_cluster.bootstrap_invalid"}


def test_a_credential_in_use_stays(stage: Stage, project: Project, credential: Credential) -> None:
    guest = order(SYSTEM, project, options(credential))
    with pytest.raises(HubError, match=r"object\.in_use"):
        delete_credential(SYSTEM, credential)
    GuestCredential.objects.filter(guest=guest).delete()
    delete_credential(SYSTEM, credential)


def test_flt41_a_credential_that_does_not_open_is_an_error_of_its_own(project: Project, credential: Credential) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tenancy_credential SET data = 'v1.gone.AAAA'")
    guest = GuestCluster(project=project, options=options(credential))
    with pytest.raises(HubError, match=r"secret\.unreadable"):
        resolve_registries(guest)
