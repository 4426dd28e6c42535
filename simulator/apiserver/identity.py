"""Who asks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ANONYMOUS = "system:anonymous"
AUTHENTICATED_GROUP = "system:authenticated"
UNAUTHENTICATED_GROUP = "system:unauthenticated"
MASTERS_GROUP = "system:masters"
_ACCOUNT_PREFIX = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class User:
    """An identity as authenticators find it and rules see it."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def authenticated(self) -> "User":
        """The same user in the group of all that showed valid credentials."""
        if AUTHENTICATED_GROUP in self.groups:
            return self
        return User(self.name, (*self.groups, AUTHENTICATED_GROUP), self.uid, self.extra)


ANONYMOUS_USER = User(ANONYMOUS, (UNAUTHENTICATED_GROUP,))


def service_account_user(
    namespace: str, name: str, uid: str = "", extra: Mapping[str, Sequence[str]] | None = None
) -> User:
    """The user that a service account's token stands for."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return User(f"{_ACCOUNT_PREFIX}{namespace}:{name}", groups, uid, extra or {})


def service_account_of(user_name: str) -> tuple[str, str] | None:
    """Namespace and name of the service account that a user name stands for."""
    if not user_name.startswith(_ACCOUNT_PREFIX):
        return None
    namespace, colon, name = user_name.removeprefix(_ACCOUNT_PREFIX).partition(":")
    return (namespace, name) if colon and namespace and name else None
