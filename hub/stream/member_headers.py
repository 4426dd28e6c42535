"""Which headers go to a member and which come back: pure. Both ways only what is known to be harmless (SEC-28)."""

from urllib.parse import urlsplit

from kube.relay.heads import Headers, RequestHead, ResponseHead, without_hop_by_hop

from .answers import Refusal
from .decisions import Call

# What Kubernetes clients say of the request itself. Anything else might be an identity to somebody down there (SEC-14).
_TO_MEMBER = frozenset(
    [
        "cache-control",
        "pragma",
        "prefer",
        "range",
        "tracestate",
        "traceparent",
        "user-agent",
        "x-requested-with",
        "x-stream-protocol-version",
    ]
)
_TO_MEMBER_PREFIXES = ("accept", "content-", "if-", "kubectl-", "sec-websocket-")

# What would act on the hub's own origin in a browser: a member, or a workload behind a service proxy, is not trusted there.
_NOT_FROM_MEMBER = frozenset(
    [
        "alt-svc",
        "clear-site-data",
        "content-security-policy",
        "nel",
        "public-key-pins",
        "refresh",
        "report-to",
        "reporting-endpoints",
        "service-worker-allowed",
        "set-cookie",
        "set-cookie2",
        "strict-transport-security",
        "www-authenticate",
        "x-content-type-options",
        "x-request-id",
    ]
)
_NOT_FROM_MEMBER_PREFIX = "access-control-"


def member_headers(head: RequestHead, call: Call, token: str, request_id: str) -> Headers:
    """The caller's harmless fields, the hub's account, and one identity built here (SEC-14 to SEC-16)."""
    kept = [
        (name, value)
        for name, value in without_hop_by_hop(head.headers)
        if name.lower() in _TO_MEMBER or name.lower().startswith(_TO_MEMBER_PREFIXES)
    ]
    identity: Headers = [
        ("Authorization", f"Bearer {token}"),
        ("Impersonate-User", call.principal.impersonated_user),
        *(("Impersonate-Group", group) for group in call.groups),
        ("X-Request-Id", request_id),
    ]
    return [*kept, *identity]


def answer_headers(response: ResponseHead, call: Call, request_id: str) -> Headers:
    """What the caller gets of a member's headers. Raises Refusal when the answer is not for him.

    No page that a member sends can run in the hub's origin, or send the caller elsewhere (SEC-20).
    """
    if response.status == 401 and not call.ask.attributes.connects:
        raise Refusal("cluster.account_refused", "The cluster does not accept the hub's account now.")
    headers = [
        (name, _location(value, call) if name.lower() == "location" else value)
        for name, value in without_hop_by_hop(response.headers, _NOT_FROM_MEMBER)
        if not name.lower().startswith(_NOT_FROM_MEMBER_PREFIX)
    ]
    return [
        *headers,
        ("X-Request-Id", request_id),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Security-Policy", "sandbox; default-src 'none'"),
    ]


def _location(value: str, call: Call) -> str:
    """A place in the same cluster, as it is called here. Raises Refusal for any other."""
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = None
    if parts is None or parts.scheme or parts.netloc or "\\" in value:
        raise Refusal("upstream.redirects", "The cluster sends the caller elsewhere.")
    return f"/k8s/clusters/{call.ask.cluster_id}{value}" if value.startswith("/") else value
