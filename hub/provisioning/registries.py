"""From an order's ``options.registries`` to what the machines are told of registries: secrets are named there, never written.

``{"mirrors": {host: {"endpoints", "rewrites"}}, "access": {host: {"credential", "ca_pem", "insecure_skip_verify"}}}``: a
credential of the guest's own project, of kind ``basic`` (user and password) or ``token`` (identity token). A machine gets its
values as they are when it is made.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from hub.audit.services import record
from hub.core.access import Actor
from hub.core.changes import record_insert
from hub.core.errors import HubError
from hub.tenancy.credentials import find_usable, reveal
from hub.tenancy.models import Credential, CredentialKind, Project

from .bootstrap.checks import BootstrapInvalid
from .bootstrap.registries import Mirror, Registries, RegistryAccess
from .models import GuestCluster, GuestCredential

KINDS = (CredentialKind.BASIC, CredentialKind.TOKEN)
_MIRROR_KEYS = frozenset({"endpoints", "rewrites"})
_ACCESS_KEYS = frozenset({"credential", "ca_pem", "insecure_skip_verify"})


def check_registry_credentials(actor: Actor, project: Project, options: Mapping[str, Any]) -> list[Credential]:
    """The credentials that the options name, each usable by the actor (SEC-07).

    Raises HubError ``guest_cluster.invalid`` with causes ``credential.not_usable``, the same for one that is missing, of
    another project, of an unfit kind or not for the actor (SEC-08).
    """
    found, faults = {}, []
    for host, id in _named(options).items():
        credential = find_usable(actor, project.pk, id, KINDS)
        if credential is None:
            part = host.replace("~", "~0").replace("/", "~1")
            faults.append(HubError("credential.not_usable", pointer=f"/options/registries/access/{part}/credential"))
        else:
            found[id] = credential
    if faults:
        raise HubError("guest_cluster.invalid", causes=faults)
    return list(found.values())


def name_credentials(actor: Actor, guest: GuestCluster, credentials: Sequence[Credential]) -> None:
    """Notes that a new guest uses these, so that they stay while it is there. Call within its transaction."""
    for credential in credentials:
        record_insert(GuestCredential(guest=guest, credential=credential, tenant_id=guest.tenant_id))
        detail = {"guest_cluster": str(guest.pk), "name": guest.name}
        record(actor, "use", "credentials", credential, operation_id=guest.operation_id, detail=detail)


def resolve_registries(guest: GuestCluster) -> Registries | None:
    """What a machine of the guest is told; None without any. Raises BootstrapInvalid, HubError ``secret.unreadable``."""
    options = guest.options.get("registries")
    if not options:
        return None
    _check_keys(options, {"mirrors", "access"}, "/registries")
    named = _named(guest.options)
    stored = {row.pk: row for row in Credential.objects.filter(pk__in=named.values(), project_id=guest.project_id)}
    mirrors = {}
    for host, mirror in options.get("mirrors", {}).items():
        _check_keys(mirror, _MIRROR_KEYS, "/registries/mirrors")
        mirrors[host] = Mirror(tuple(mirror.get("endpoints", ())), mirror.get("rewrites", {}))
    access = {}
    for host, entry in options.get("access", {}).items():
        _check_keys(entry, _ACCESS_KEYS, "/registries/access")
        if host in named and named[host] not in stored:
            raise BootstrapInvalid("/registries/access", "unknown", "the credential is not one of this project")
        access[host] = _access(entry, stored[named[host]] if host in named else None)
    return Registries(mirrors, access)


def _access(entry: Mapping[str, Any], credential: Credential | None) -> RegistryAccess:
    values = reveal(credential) if credential is not None else {}
    return RegistryAccess(
        username=values.get("username"),
        password=values.get("password"),
        identity_token=values.get("token"),
        ca_pem=entry.get("ca_pem"),
        insecure_skip_verify=bool(entry.get("insecure_skip_verify", False)),
    )


def _named(options: Mapping[str, Any]) -> dict[str, UUID]:
    """Credential ids by host."""
    access = options.get("registries", {}).get("access", {})
    return {host: UUID(str(entry["credential"])) for host, entry in access.items() if entry.get("credential")}


def _check_keys(document: Mapping[str, Any], known: Collection[str], pointer: str) -> None:
    if unknown := sorted(set(document) - set(known)):
        raise BootstrapInvalid(pointer, "unknown", f"there is no {unknown[0]!r} here")
