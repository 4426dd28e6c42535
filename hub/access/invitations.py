"""Invitations: one-time links that give whoever opens one first, logged in, a role on a tenant or a project.

The one who invites gives the role: he needs its rights when he makes the link and still when it is opened, or a link would
outlive his own access (SEC-32). From the moment it is accepted the link is its acceptor's, and good for nothing more.
"""

import datetime

from django.db import transaction
from django.utils import timezone

from hub.audit.models import Outcome
from hub.audit.services import record
from hub.core.access import Actor
from hub.core.changes import record_insert, record_update
from hub.core.environment import environment
from hub.core.errors import HubError, define
from hub.identity.actors import actor_of
from hub.identity.keyed_hashes import holds_secret, keyed_hash
from hub.identity.models import User, UserKind
from hub.identity.token_format import INVITATION, generate_token, parse_token
from hub.tenancy.models import Project, Tenant

from .models import Invitation
from .services import bind_role, plan_binding

DEFAULT_LIFETIME = datetime.timedelta(days=7)
LONGEST_LIFETIME = datetime.timedelta(days=30)
NOTE_LIMIT = 200

define("invitation.lifetime_invalid", 400, "The link cannot be good for that long")
define("invitation.note_invalid", 400, "The note is not valid")
define("invitation.unknown", 404, "There is no such invitation, or it is not good any more")
define("invitation.taken", 409, "Somebody else has accepted this invitation")
define("invitation.accepted", 409, "The invitation has been accepted; take the role away instead")
define("invitation.void", 409, "Whoever has invited you may not give this role any more; ask for a new invitation")


def create_invitation(
    actor: Actor,
    scope: Tenant | Project,
    role: str,
    *,
    note: str = "",
    lifetime: datetime.timedelta = DEFAULT_LIFETIME,
    binding_expires_at: datetime.datetime | None = None,
) -> tuple[Invitation, str]:
    """A new invitation and the address of its page, which holds the secret and cannot be had again.

    ``lifetime`` is the link's, ``binding_expires_at`` the role's end. Raises HubError ``invitation.lifetime_invalid``,
    ``invitation.note_invalid``, and as ``bind_role``.
    """
    if not datetime.timedelta(0) < lifetime <= LONGEST_LIFETIME:
        maximum = int(LONGEST_LIFETIME.total_seconds())
        raise HubError("invitation.lifetime_invalid", pointer="/expires_in_seconds", maximum_seconds=maximum)
    if len(note) > NOTE_LIMIT or not all(letter.isprintable() for letter in note):
        raise HubError("invitation.note_invalid", pointer="/note", limit=NOTE_LIMIT)
    inviter = User.objects.filter(pk=actor.id).first() if actor.id is not None else None
    if inviter is None:
        raise HubError("request.denied")  # the role is his to give
    text = generate_token(INVITATION)
    pepper_id, secret_hash = keyed_hash(text)
    with transaction.atomic():
        planned = plan_binding(actor, role, None, scope, expires_at=binding_expires_at)
        invitation = Invitation(
            key_id=text.key_id,
            secret_hash=secret_hash,
            pepper_id=pepper_id,
            tenant_id=scope.pk if isinstance(scope, Tenant) else scope.tenant_id,
            project_id=planned.project_id,
            role=role,
            custom_role_id=planned.custom_role_id,
            note=note,
            created_by=inviter,
            binding_expires_at=binding_expires_at,
            expires_at=timezone.now() + lifetime,
        )
        record_insert(invitation)
        record(actor, "create", "invitations", invitation, detail=_detail(invitation))
    return invitation, f"{environment().url}/invitations/{text.render()}"


def revoke_invitation(actor: Actor, invitation: Invitation, *, expected_version: int | None = None) -> None:
    """Ends the link; one that has ended stays as it is. Raises HubError ``invitation.accepted``, StaleVersion."""
    if invitation.accepted_at is not None:
        raise HubError("invitation.accepted")
    if invitation.revoked_at is not None:
        return
    invitation.revoked_at = timezone.now()
    with transaction.atomic():
        record_update(invitation, ["revoked_at"], expected_version=expected_version or invitation.version)
        record(actor, "delete", "invitations", invitation, detail=_detail(invitation))


def find_invitation(user: User, text: str) -> Invitation:
    """The invitation of this link, as ``user`` may see it: it waits for him, or he has accepted it.

    Raises HubError ``invitation.unknown``, or ``invitation.taken`` when it is somebody else's.
    """
    return _seen_by(user, _find(text, lock=False))


def accept_invitation(actor: Actor, user: User, text: str) -> Invitation:
    """Gives the user what the link promises; again, for the same user, it changes nothing. Of two at once one gets it.

    Raises HubError ``invitation.unknown``, ``invitation.taken`` or ``invitation.void``.
    """
    try:
        with transaction.atomic():
            invitation = _seen_by(user, _find(text, lock=True))
            if invitation.accepted_at is None:
                _accept(actor, user, invitation)
    except HubError as error:
        refused = _find(text, lock=False) if error.code in ("invitation.taken", "invitation.void") else None
        if refused is not None:
            record(
                actor,
                "accept",
                "invitations",
                refused,
                outcome=Outcome.DENIED,
                code=error.code,
                detail=_detail(refused),
            )
        raise
    return invitation


def _accept(actor: Actor, user: User, invitation: Invitation) -> None:
    inviter = invitation.created_by
    if inviter is None or not inviter.is_active:
        raise HubError("invitation.void")
    try:
        bind_role(
            actor_of(inviter),
            invitation.role,
            user,
            invitation.project or invitation.tenant,
            expires_at=invitation.binding_expires_at,
        )
    except HubError as error:
        if error.code != "role_binding.exists":  # he has it already: that is what was promised
            raise HubError("invitation.void") from error
    invitation.accepted_by, invitation.accepted_at = user, timezone.now()
    record_update(invitation, ["accepted_by", "accepted_at"])
    record(actor, "accept", "invitations", invitation, detail=_detail(invitation))


def _find(text: str, *, lock: bool) -> Invitation | None:
    offered = parse_token(text, INVITATION)
    if offered is None:
        return None
    rows = Invitation.objects.select_related("tenant", "project", "created_by", "custom_role")
    rows = rows.select_for_update(of=("self",)) if lock else rows
    invitation = rows.filter(key_id=offered.key_id).first()
    return invitation if holds_secret(invitation, offered) else None


def _seen_by(user: User, invitation: Invitation | None) -> Invitation:
    if invitation is None or invitation.revoked_at is not None or user.kind != UserKind.PERSON:
        raise HubError("invitation.unknown")
    if invitation.accepted_at is not None:
        if invitation.accepted_by_id != user.pk:
            raise HubError("invitation.taken")
        return invitation
    ends = [moment for moment in (invitation.expires_at, invitation.binding_expires_at) if moment is not None]
    if min(ends) <= timezone.now():
        raise HubError("invitation.unknown")
    return invitation


def _detail(invitation: Invitation) -> dict[str, str]:
    return {
        "role": invitation.custom_role.name if invitation.custom_role is not None else invitation.role,
        "scope": "project" if invitation.project_id else "tenant",
        "key_id": invitation.key_id,
    }
