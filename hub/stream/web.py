"""Everything that is not the stream server's own goes to the web process over its unix socket."""

from kube.relay.exchange import Exchange
from kube.relay.heads import Headers, without_hop_by_hop
from kube.relay.upstream import UpstreamPool

from .connection import Incoming

# What a proxy says of its client: only we say it, so a client's own are dropped (SEC-27).
FORWARDED = frozenset(
    [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-real-ip",
        "x-request-id",
        "x-remote-user",
        "x-remote-group",
    ]
)


def forwarded_headers(incoming: Incoming) -> Headers:
    return [
        ("X-Forwarded-For", incoming.peer),
        ("X-Forwarded-Proto", "https"),
        ("X-Request-Id", incoming.request_id),
    ]


async def relay_to_web(pool: UpstreamPool, incoming: Incoming) -> bool:
    """Carries one request to the web process. Errors as Exchange.run."""
    headers = without_hop_by_hop(incoming.head.headers, FORWARDED) + forwarded_headers(incoming)
    return await Exchange(pool, incoming.head, incoming.head.target, headers, incoming.client).run()
