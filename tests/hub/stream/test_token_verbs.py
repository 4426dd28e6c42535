"""Which verb of a token's scope each request to a member needs; the table is written out here, not computed."""

from __future__ import annotations

import pytest

from hub.core.access import TokenScope
from hub.stream.token_verbs import hub_verb, scope_leaves_out
from kube.relay.attributes import read_attributes

PODS = "/api/v1/namespaces/x/pods"
VM = "/apis/subresources.kubevirt.io/v1/namespaces/x/virtualmachines/v"
VMI = "/apis/subresources.kubevirt.io/v1/namespaces/x/virtualmachineinstances/v"
ALL_VERBS = frozenset(
    {"get", "list", "create", "update", "delete", "proxy", "use", "start", "stop", "restart", "pause", "migrate"}
    | {"console", "backup", "restore", "snapshot", "clone"}
)

# Method, path, whether it changes the protocol: the verb.
VERBS = [
    ("GET", f"{PODS}/p", False, "get"),
    ("HEAD", f"{PODS}/p", False, "get"),
    ("GET", f"{PODS}/p/log?follow=true", False, "get"),
    ("GET", PODS, False, "list"),
    ("GET", f"{PODS}?watch=1", False, "list"),
    ("GET", f"{PODS}?watch=1", True, "list"),
    ("GET", "/api/v1/watch/pods", False, "list"),
    ("POST", PODS, False, "create"),
    ("POST", "/api/v1/namespaces/x/serviceaccounts/a/token", False, "create"),
    ("POST", f"{PODS}/p/eviction", False, "create"),
    ("PUT", f"{PODS}/p", False, "update"),
    ("PATCH", f"{PODS}/p", False, "update"),
    ("PATCH", f"{PODS}/p/ephemeralcontainers", False, "update"),
    ("DELETE", f"{PODS}/p", False, "delete"),
    ("DELETE", PODS, False, "delete"),
    ("PUT", f"{VM}/start", False, "start"),
    ("PUT", f"{VM}/stop", False, "stop"),
    ("PUT", f"{VM}/restart", False, "restart"),
    ("PUT", f"{VMI}/softreboot", False, "restart"),
    ("PUT", f"{VMI}/reset", False, "restart"),
    ("PUT", f"{VMI}/pause", False, "pause"),
    ("PUT", f"{VMI}/unpause", False, "pause"),
    ("PUT", f"{VM}/migrate", False, "migrate"),
    ("GET", f"{VMI}/console", True, "console"),
    ("GET", f"{VMI}/vnc", True, "console"),
    ("GET", f"{VMI}/vnc/screenshot", False, "console"),
    ("GET", f"{VMI}/guestosinfo", False, "get"),
    ("PUT", f"{VM}/addvolume", False, "update"),
    ("GET", f"{VMI}/portforward/22", True, "proxy"),
    ("GET", f"{VMI}/usbredir", True, "proxy"),
    ("GET", f"{VMI}/something", True, "proxy"),
    ("POST", f"{PODS}/p/exec", False, "proxy"),
    ("GET", f"{PODS}/p/exec", True, "proxy"),
    ("GET", f"{PODS}/p/attach", True, "proxy"),
    ("GET", f"{PODS}/p/portforward", True, "proxy"),
    ("GET", f"{PODS}/p/log", True, "proxy"),
    ("GET", "/api/v1/namespaces/x/services/s/proxy/delete-all", False, "proxy"),
    ("GET", "/api/v1/nodes/n/proxy/run", False, "proxy"),
    ("GET", "/api/v1/proxy/nodes/n", False, "proxy"),
    ("OPTIONS", PODS, False, "proxy"),
    ("POST", "/v1/harvester/kubevirt.io.virtualmachines/x/v?action=start", False, "proxy"),
    # The same words for other resources are no virtual machine's.
    ("PUT", "/apis/example.org/v1/namespaces/x/virtualmachines/v/start", False, "update"),
    ("PUT", "/apis/subresources.kubevirt.io/v1/namespaces/x/engines/v/start", False, "update"),
]


@pytest.mark.parametrize(("method", "path", "upgrades", "verb"), VERBS)
def test_sec22_each_request_needs_one_verb_of_the_scope(method: str, path: str, upgrades: bool, verb: str) -> None:
    attributes = read_attributes(method, *_parts(path))
    opens = attributes.connects or (upgrades and attributes.verb != "watch")
    assert hub_verb(attributes, opens_session=opens) == verb

    def left_out(scope: TokenScope) -> str | None:
        return scope_leaves_out(scope, attributes, opens_session=opens)

    assert left_out(TokenScope()) is None
    assert left_out(TokenScope(verbs=ALL_VERBS)) is None
    assert left_out(TokenScope(verbs=ALL_VERBS - {verb})) == verb
    assert left_out(TokenScope(verbs=frozenset())) == verb
    reads = verb in {"get", "list"}
    assert (left_out(TokenScope(read_only=True)) is None) == reads
    # A token that names only reading verbs opens no channel, although ``proxy`` lets it into members.
    assert (left_out(TokenScope(verbs=frozenset({"get", "list", "proxy"}))) is None) == reads


@pytest.mark.parametrize("path", ["/version", "/api", "/apis", "/apis/apps/v1", "/openapi/v3", "/healthz"])
def test_what_every_client_asks_first_needs_no_verb(path: str) -> None:
    attributes = read_attributes("GET", path)
    assert scope_leaves_out(TokenScope(verbs=frozenset({"create"})), attributes, opens_session=False) is None
    assert scope_leaves_out(TokenScope(verbs=frozenset({"create"})), attributes, opens_session=True) == "proxy"


def _parts(path: str) -> tuple[str, str]:
    bare, _, query = path.partition("?")
    return bare, query
