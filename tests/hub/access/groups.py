"""Groups of a provider and who is in them, as rows: how they come there is tested where they do."""

import datetime

from django.utils import timezone

from hub.identity.models import ExternalIdentity, Group, GroupMembership, IdentityProvider, ProviderKind, User
from tests.hub.builders import unique


def make_group(key: str = "/group") -> Group:
    """A group of a provider of its own."""
    name = unique("idp")
    provider = IdentityProvider.objects.create(
        name=name, kind=ProviderKind.OIDC, issuer=f"https://{name}.example", client_id="paddock"
    )
    return Group.objects.create(provider=provider, key=key)


def join(user: User, group: Group, *, ago: datetime.timedelta = datetime.timedelta()) -> ExternalIdentity:
    """Puts the user into the group, by an identity whose groups were confirmed that long ago."""
    identity = ExternalIdentity.objects.create(
        provider=group.provider,
        user=user,
        issuer=group.provider.issuer,
        subject=unique("sub"),
        groups_confirmed_at=timezone.now() - ago,
    )
    GroupMembership.objects.create(identity=identity, group=group)
    return identity
