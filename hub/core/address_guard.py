"""The one guard of this process: which addresses it may connect to on somebody's word (SEC-57, SEC-60).

Handed to ``kube`` for members and used by ``outbound`` for everything else; the rules themselves are ``kube.guard``'s.
"""

from functools import lru_cache

from kube.guard import AddressGuard

from .environment import environment


@lru_cache(maxsize=1)
def address_guard() -> AddressGuard:
    """The guard, from PADDOCK_ADDRESS_ALLOW and PADDOCK_ADDRESS_DENY."""
    return AddressGuard(environment().address_allow, environment().address_deny)
