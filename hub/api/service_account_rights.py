"""Who may speak for a service account: whoever may change it and himself holds every right that it holds (SEC-32, SEC-37).

Its token gives all that the account may do, so issuing one would else be a way up.
"""

from hub.access.escalation import refuse_stronger_user
from hub.core.access import AccessScope, Actor, can
from hub.core.errors import HubError
from hub.identity.models import User


def check_may_act_for(actor: Actor, user: User) -> None:
    """Raises HubError ``request.denied``, or ``user.outranks``. ``user`` is a service account's."""
    account = user.service_account
    scope = AccessScope(tenant_id=account.tenant_id, project_id=account.project_id)
    if not can(actor, "update", "service-accounts", scope).allowed:
        raise HubError("request.denied", verb="update", resource="service-accounts")
    refuse_stronger_user(actor, user)
