"""``/invitations/<text>``: what the link promises, and the button that takes it. Looking changes nothing; who is logged in
and accepts first has it.
"""

from django.http import HttpRequest, HttpResponse

from hub.access.invitations import accept_invitation, find_invitation
from hub.access.models import Invitation
from hub.core.access import Actor
from hub.identity.models import Session

from .base import page, render_page, require_session, see_other


@page("GET", "POST")
@require_session
def invitation(request: HttpRequest, actor: Actor, session: Session, text: str) -> HttpResponse:
    if request.method == "POST":
        accept_invitation(actor, session.user, text)
        return see_other(request.path)  # so that reloading does not ask to send it again
    return _show(request, find_invitation(session.user, text))


def _show(request: HttpRequest, found: Invitation) -> HttpResponse:
    role = found.custom_role.name if found.custom_role is not None else found.role
    inviter = found.created_by
    context = {
        "invitation": found,
        "role": role,
        "inviter": (inviter.display_name or inviter.username) if inviter is not None else "",
    }
    return render_page(request, "pages/invitation.html", context)
