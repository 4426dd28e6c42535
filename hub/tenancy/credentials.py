"""Credentials: secrets that a project lends to what it orders. They go in and never come out; orders name them by id.

Each kind has its keys, and takes no others (SEC-02). Whoever names a credential needs the verb ``use`` on it (SEC-07), and
it resolves inside its own project alone (SEC-08). It belongs to the project, not to who made it.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from hub.audit.diff import diff
from hub.audit.services import record
from hub.core.access import Actor, visible_to
from hub.core.changes import record_delete, record_insert, record_update
from hub.core.errors import HubError, define

from .contents import check_empty
from .models import Credential, CredentialKind, Project
from .names import checked_description, checked_name

RESOURCE = "credentials"

define("credential.name_taken", 409, "The project has a credential of this name already")
define("credential.kind_unknown", 400, "There is no such kind of credential")
define("credential.values_invalid", 400, "The values of the credential are not valid")
define("credential.key_unknown", 400, "A credential of this kind has no such key")
define("credential.key_missing", 400, "A credential of this kind needs this key")
define("credential.value_invalid", 400, "The value is not one that this key takes")
define("credential.not_usable", 422, "There is no such credential in this project, or you may not use it")

_PRIVATE_KEY = re.compile(
    r"\s*-----BEGIN (?P<type>[A-Z ]*PRIVATE KEY)-----\r?\n[A-Za-z0-9+/=\s:,-]+-----END (?P=type)-----\s*", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a kind. ``pattern`` is what its value looks like; None: one line of text."""

    is_required: bool = True
    limit: int = 4096
    pattern: re.Pattern[str] | None = None

    def takes(self, value: str) -> bool:
        """Whether this is a value for it; an empty one never is."""
        fits = self.pattern.fullmatch(value) if self.pattern else value.isprintable()
        return 0 < len(value) <= self.limit and bool(fits)


KINDS: Mapping[str, Mapping[str, Key]] = {
    CredentialKind.BASIC: {"username": Key(limit=253), "password": Key()},
    CredentialKind.TOKEN: {"token": Key(limit=16384)},
    CredentialKind.SSH_KEY: {
        "private_key": Key(limit=32768, pattern=_PRIVATE_KEY),
        "passphrase": Key(is_required=False),
        "username": Key(is_required=False, limit=253),
    },
    CredentialKind.S3: {
        "access_key_id": Key(limit=253),
        "secret_access_key": Key(),
        "region": Key(is_required=False, limit=253),
        "endpoint": Key(is_required=False, limit=500),
    },
}


def create_credential(
    actor: Actor, project: Project, name: str, kind: str, values: Mapping[str, str], *, description: str = ""
) -> Credential:
    """Raises HubError ``name.invalid``, ``description.invalid``, ``credential.kind_unknown``, ``credential.values_invalid``
    with all that is wrong as causes, or ``credential.name_taken``.
    """
    if kind not in KINDS:
        raise HubError("credential.kind_unknown", pointer="/kind", known=sorted(KINDS))
    _check_values(kind, values)
    credential = Credential(
        tenant_id=project.tenant_id,
        project=project,
        name=checked_name(name),
        kind=kind,
        description=checked_description(description),
    )
    _put(credential, values)
    try:
        with transaction.atomic():
            record_insert(credential)
            shown = {"kind": kind, "description": description, "data": credential.data}
            record(actor, "create", RESOURCE, credential, changes=diff({}, shown), detail={"keys": sorted(values)})
    except IntegrityError as error:
        raise HubError("credential.name_taken", pointer="/name", name=name) from error
    return credential


def update_credential(
    actor: Actor,
    credential: Credential,
    *,
    description: str,
    values: Mapping[str, str | None] | None = None,
    expected_version: int | None = None,
) -> Credential:
    """Changes the description, and of the values those that are given; None takes one away.

    Of a credential that does not open any more all values are needed. Raises as ``create_credential``, StaleVersion.
    """
    before = {"description": credential.description}
    credential.description = checked_description(description)
    changes, detail = diff(before, {"description": description}), {}
    if values:
        old = reveal(credential) if is_readable(credential) else {}
        merged = {key: value for key, value in {**old, **values}.items() if value is not None}
        _check_values(credential.kind, merged)
        changed = {key for key in {*old, *merged} if old.get(key) != merged.get(key)}
        _put(credential, merged)
        changes["data"] = diff({"data": old}, {"data": merged}, ["data"])["data"]
        detail = {"keys": sorted(changed)}
    with transaction.atomic():
        record_update(credential, ["description", "data", "data_keys"], expected_version=expected_version)
        record(actor, "update", RESOURCE, credential, changes=changes, detail=detail)
    return credential


def delete_credential(actor: Actor, credential: Credential, *, expected_version: int | None = None) -> None:
    """Raises HubError ``object.in_use`` while something that was ordered names it, StaleVersion."""
    check_empty(credential)
    try:
        with transaction.atomic():
            record(actor, "delete", RESOURCE, credential)
            record_delete(credential, expected_version=expected_version)
    except (ProtectedError, IntegrityError) as error:  # somebody has named it after the check
        raise HubError("object.in_use", inside={}) from error


def find_usable(actor: Actor, project_id: UUID, id: UUID, kinds: Collection[str]) -> Credential | None:
    """The credential of this project and one of these kinds, if the actor may use it."""
    usable = visible_to(Credential.objects.filter(project_id=project_id, kind__in=kinds), actor, "use")
    found: Credential | None = usable.filter(pk=id).first()
    return found


def reveal(credential: Credential) -> dict[str, str]:
    """The values, for whoever hands them to what was ordered. Raises HubError ``secret.unreadable``."""
    values: dict[str, str] = json.loads(credential.data.reveal() or "{}")
    return values


def is_readable(credential: Credential) -> bool:
    """False when the master key is lost: then its values have to be entered again (FLT-41)."""
    try:
        reveal(credential)
    except HubError:
        return False
    return True


def _put(credential: Credential, values: Mapping[str, str]) -> None:
    credential.data = json.dumps(dict(values))
    credential.data_keys = sorted(values)


def _check_values(kind: str, values: Mapping[str, str]) -> None:
    if faults := list(_faults(KINDS[kind], values)):
        raise HubError("credential.values_invalid", causes=faults)


def _faults(keys: Mapping[str, Key], values: Mapping[str, str]) -> Iterator[HubError]:
    """What is wrong, without a word of any value."""
    for name, value in values.items():
        if name not in keys:
            part = name.replace("~", "~0").replace("/", "~1")
            yield HubError("credential.key_unknown", pointer=f"/values/{part}", known=sorted(keys))
        elif not keys[name].takes(value):
            yield HubError("credential.value_invalid", pointer=f"/values/{name}", limit=keys[name].limit)
    for name, key in keys.items():
        if key.is_required and name not in values:
            yield HubError("credential.key_missing", pointer=f"/values/{name}")
