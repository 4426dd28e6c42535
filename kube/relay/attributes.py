"""What a request to a Kubernetes API asks for: verb, group, resource, subresource, namespace, name.

The same reading as kube-apiserver's RequestInfo, so that what is decided and written down here is what the member
authorises (SEC-21, SEC-22); only a subresource is kept whole, where RequestInfo stops at its first part. Paths that could
be read in two ways are refused.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

# GET on these opens a channel into a workload or a machine: no read, whatever the method says.
CONNECT_SUBRESOURCES = frozenset(["exec", "attach", "portforward", "proxy", "console", "vnc", "usbredir", "vsock"])
READ_VERBS = frozenset(["get", "list", "watch"])

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}
# An encoded slash, dot, backslash, percent, semicolon or NUL, and their plain forms where they change a path's meaning.
_AMBIGUOUS = re.compile(r"//|\\|;|%(?:2[fFeE5]|5[cC]|3[bB]|0[0-9a-fA-F]|1[0-9a-fA-F]|7[fF])|/\.{1,2}(?:/|$)")
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")


class AmbiguousPath(ValueError):
    """A path that two readers might take differently."""


@dataclass(frozen=True, slots=True)
class RequestAttributes:
    """``resource`` is empty for paths that are no resource (discovery, health); then ``path`` is what is asked for."""

    verb: str
    path: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def connects(self) -> bool:
        """True when a channel is opened that carries anything."""
        return self.verb == "proxy" or self.subresource.partition("/")[0] in CONNECT_SUBRESOURCES

    @property
    def reads(self) -> bool:
        """True when nothing is changed and no channel is opened."""
        if not self.resource:
            return self.verb == "get"
        return self.verb in READ_VERBS and not self.connects

    @property
    def reads_secret(self) -> bool:
        return self.verb in READ_VERBS and (self.group, self.resource) == ("", "secrets")


def check_path(path: str) -> None:
    """Raises AmbiguousPath for a path that is not forwarded as it stands."""
    if _AMBIGUOUS.search(path) or _BAD_ESCAPE.search(path):
        raise AmbiguousPath("The path has segments or escapes that could be read in two ways.")
    try:
        unquote(path, errors="strict")
    except UnicodeDecodeError as error:
        raise AmbiguousPath("The path has escapes that are no UTF-8.") from error


def read_attributes(method: str, path: str, query: str = "") -> RequestAttributes:
    """Reads a path that begins after the cluster's prefix, for example ``/api/v1/namespaces/x/pods``. Raises AmbiguousPath."""
    check_path(path)
    verb = _VERBS.get(method, method.lower())
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return RequestAttributes(verb, path)
    by_prefix = ""  # the forms of old: /api/v1/watch/pods, /api/v1/proxy/nodes/n
    if rest[0] in {"watch", "proxy"} and len(rest) > 1:
        by_prefix, rest = rest[0], rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 2:
        namespace = rest[1]
        # /namespaces/x, /namespaces/x/status and /finalize are the namespace itself.
        if len(rest) >= 3 and rest[2] not in {"status", "finalize"}:
            rest = rest[2:]
    resource, name, subresource = rest[0], "".join(rest[1:2]), "/".join(rest[2:])
    verb = _refine(verb, name, query, by_prefix)
    return RequestAttributes(verb, path, group, version, resource, subresource, namespace, name)


def _refine(verb: str, name: str, query: str, by_prefix: str) -> str:
    """``get`` without a name lists, with ``watch`` it watches; ``delete`` without a name deletes the collection."""
    if by_prefix == "proxy":
        return "proxy"
    if verb == "get" and by_prefix == "watch":  # any other method stays what it is, which is never taken for a read
        return "watch"
    if verb == "get" and not name:
        asked = parse_qs(query, keep_blank_values=True)
        watch = asked.get("watch", ["false"])[0].lower() not in {"false", "0"}  # apimachinery: anything else is true
        return "watch" if watch else "list"
    if verb == "delete" and not name:
        return "deletecollection"
    return verb
