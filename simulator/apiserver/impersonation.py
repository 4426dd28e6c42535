"""Acting as somebody else (``Impersonate-*`` headers), if the sender may."""

from collections.abc import Callable, Iterable
from urllib.parse import unquote

from multidict import CIMultiDictProxy

from simulator.apiserver import status
from simulator.apiserver.identity import (
    ANONYMOUS,
    AUTHENTICATED_GROUP,
    UNAUTHENTICATED_GROUP,
    User,
    service_account_of,
    service_account_user,
)
from simulator.apiserver.requests import RequestInfo

Authorize = Callable[[User, RequestInfo], None]
"""Raises ApiError 403 unless the user may."""

_EXTRA_PREFIX = "impersonate-extra-"


def impersonate(user: User, headers: CIMultiDictProxy[str], authorize: Authorize) -> User:
    """The user to act as: the sender himself without such headers. Raises ApiError 403, and 500 for half of them."""
    name = headers.get("Impersonate-User", "")
    groups = tuple(headers.getall("Impersonate-Group", []))
    uid = headers.get("Impersonate-Uid", "")
    extra = _extra(headers)
    if not name:
        if groups or uid or extra:
            raise status.ApiError(
                500, "InternalError", "Internal error occurred: requested impersonation without impersonating a user"
            )
        return user
    for request in _needed(name, groups, uid, extra):
        authorize(user, request)
    account = service_account_of(name)
    if account and not groups:
        groups = service_account_user(*account).groups
    if name == ANONYMOUS:
        return User(name, groups if UNAUTHENTICATED_GROUP in groups else (*groups, UNAUTHENTICATED_GROUP), uid, extra)
    if AUTHENTICATED_GROUP not in groups:
        groups = (*groups, AUTHENTICATED_GROUP)
    return User(name, groups, uid, extra)


def _extra(headers: CIMultiDictProxy[str]) -> dict[str, list[str]]:
    extra: dict[str, list[str]] = {}
    for header, value in headers.items():
        if header.lower().startswith(_EXTRA_PREFIX):
            extra.setdefault(unquote(header.lower().removeprefix(_EXTRA_PREFIX)), []).append(value)
    return extra


def _needed(name: str, groups: Iterable[str], uid: str, extra: dict[str, list[str]]) -> Iterable[RequestInfo]:
    """One right to impersonate for each part of the wanted identity."""
    account = service_account_of(name)
    if account:
        yield _right("serviceaccounts", account[1], namespace=account[0])
    else:
        yield _right("users", name)
    for group in groups:
        yield _right("groups", group)
    if uid:
        yield _right("uids", uid, group="authentication.k8s.io")
    for key, values in extra.items():
        for value in values:
            yield _right("userextras", value, group="authentication.k8s.io", subresource=key)


def _right(resource: str, name: str, *, group: str = "", namespace: str = "", subresource: str = "") -> RequestInfo:
    return RequestInfo("impersonate", "", True, group, "v1", namespace, resource, name, subresource)
