"""Service accounts: users that belong to a project and that programs act as. Nobody logs in as one.

An account is two rows that come and go together: the tenancy row, and the user that bindings, tokens and the audit trail
name. Tokens are issued by ``hub.identity.tokens``, roles are given by ``hub.access``; who may speak for an account is asked
before.
"""

from django.db import IntegrityError, transaction

from hub.audit.diff import diff
from hub.audit.services import record
from hub.core.access import Actor
from hub.core.changes import record_delete, record_insert, record_update
from hub.core.errors import HubError, define
from hub.identity.models import User, UserKind

from .models import Project, ServiceAccount
from .names import checked_description, checked_name

define("service_account.name_taken", 409, "The project has, or had under another name, a service account of this name")


def create_service_account(actor: Actor, project: Project, name: str, *, description: str = "") -> ServiceAccount:
    """A new account without any role. Its user is called ``sa:<tenant>:<project>:<name>`` for good, whatever is renamed.

    Raises HubError ``name.invalid``, ``description.invalid`` or ``service_account.name_taken``.
    """
    user = User(username=f"sa:{project.tenant.name}:{project.name}:{checked_name(name)}", kind=UserKind.SERVICE_ACCOUNT)
    account = ServiceAccount(
        user=user,
        tenant_id=project.tenant_id,
        project=project,
        name=name,
        description=checked_description(description),
    )
    try:
        with transaction.atomic():
            record_insert(user)
            record_insert(account)
            record(actor, "create", "service-accounts", account, detail={"user": user.username})
    except IntegrityError as error:
        raise HubError("service_account.name_taken", pointer="/name", name=name) from error
    return account


def update_service_account(
    actor: Actor,
    account: ServiceAccount,
    *,
    description: str,
    is_active: bool,
    expected_version: int | None = None,
) -> ServiceAccount:
    """Changes what is said of the account, and whether its tokens open anything. Raises HubError ``description.invalid``,
    StaleVersion.
    """
    user = account.user
    before = {"description": account.description, "is_active": user.is_active}
    account.description, user.is_active = checked_description(description), is_active
    changes = diff(before, {"description": description, "is_active": is_active})
    with transaction.atomic():
        record_update(account, ["description"], expected_version=expected_version)
        if "is_active" in changes:
            record_update(user, ["is_active"])
        record(actor, "update", "service-accounts", account, changes=changes)
    return account


def delete_service_account(actor: Actor, account: ServiceAccount, *, expected_version: int | None = None) -> None:
    """Takes the account away with its user, tokens and roles. Raises StaleVersion."""
    with transaction.atomic():
        record(actor, "delete", "service-accounts", account, detail={"user": account.user.username})
        record_delete(account, expected_version=expected_version)
        record_delete(account.user)
