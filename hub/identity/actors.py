"""A user as the actor of what he does."""

from hub.core.access import Actor

from .models import ApiToken, Session, User, UserKind
from .token_scope import parse_scope


def actor_of(user: User, token: ApiToken | None = None, session: Session | None = None) -> Actor:
    """The user as an actor, narrowed by the token he came with."""
    return Actor(
        kind="service_account" if user.kind == UserKind.SERVICE_ACCOUNT else "user",
        id=user.pk,
        name=user.username,
        token_id=token.pk if token else None,
        token_scope=parse_scope(token.scope) if token else None,
        session_id=session.pk if session else None,
    )
