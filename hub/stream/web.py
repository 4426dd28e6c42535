"""Everything that is not the stream server's own goes to the web process over its unix socket.

The web process has few threads, so no client may hold one: bodies are read whole before it hears of them, and answers
leave it at once into this process's memory. Which bodies are too large is its own word.
"""

from kube.relay.exchange import Exchange
from kube.relay.heads import Headers, without_hop_by_hop
from kube.relay.upstream import SocketDialer, UpstreamPool

from .connection import Incoming

IDLE_LIFETIME = 1.0  # gunicorn closes after two
BODY_LIMIT = 1024 * 1024  # what is larger is refused by the web process, which reads the head alone
ANSWER_BUFFER = 1024 * 1024
STALL_TIMEOUT = 60.0

# What a proxy says of its client: only we say it, so a client's own are dropped (SEC-27).
_SAID_BY_PROXIES = frozenset(["forwarded", "x-real-ip", "x-request-id", "x-remote-user", "x-remote-group"])
_SAID_BY_PROXIES_PREFIX = "x-forwarded-"


def web_pool(dialer: SocketDialer) -> UpstreamPool:
    return UpstreamPool(dialer, idle_lifetime=IDLE_LIFETIME)


async def relay_to_web(pool: UpstreamPool, incoming: Incoming) -> bool:
    """Carries one request to the web process. Errors as Exchange.run."""
    body = await incoming.collect_body() if 0 < (incoming.head.framing.length or 0) <= BODY_LIMIT else None
    incoming.client.writer.transport.set_write_buffer_limits(high=ANSWER_BUFFER)
    headers = web_headers(incoming)
    target = incoming.head.target
    return await Exchange(
        pool, incoming.head, target, headers, incoming.client, body=body, stall_timeout=STALL_TIMEOUT
    ).run()


def web_headers(incoming: Incoming) -> Headers:
    kept = [
        (name, value)
        for name, value in without_hop_by_hop(incoming.head.headers, _SAID_BY_PROXIES)
        if not name.lower().startswith(_SAID_BY_PROXIES_PREFIX)
    ]
    return [
        *kept,
        ("X-Forwarded-For", incoming.peer),
        ("X-Forwarded-Proto", "https"),
        ("X-Request-Id", incoming.request_id),
    ]
