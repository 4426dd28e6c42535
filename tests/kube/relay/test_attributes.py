"""What a request asks for is read as kube-apiserver reads it; what could be read in two ways is refused."""

import itertools
import random
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube.relay.attributes import AmbiguousPath, RequestAttributes, check_path, read_attributes

POD = "/api/v1/namespaces/x/pods/p"
VMI = "/apis/subresources.kubevirt.io/v1/namespaces/x/virtualmachineinstances/vm"
VM = "/apis/subresources.kubevirt.io/v1/namespaces/x/virtualmachines/vm"

# method, path, query → verb, group, resource, subresource, namespace, name
TABLE: list[tuple[str, str, str, tuple[str, str, str, str, str, str]]] = [
    ("GET", "/api/v1/namespaces/x/pods", "", ("list", "", "pods", "", "x", "")),
    ("GET", "/api/v1/namespaces/x/pods/", "", ("list", "", "pods", "", "x", "")),
    ("GET", "/api/v1/pods", "", ("list", "", "pods", "", "", "")),
    ("HEAD", "/api/v1/pods", "", ("list", "", "pods", "", "", "")),
    ("GET", "/api/v1/pods", "watch=true", ("watch", "", "pods", "", "", "")),
    ("GET", "/api/v1/pods", "watch=1", ("watch", "", "pods", "", "", "")),
    ("GET", "/api/v1/pods", "watch", ("watch", "", "pods", "", "", "")),
    ("GET", "/api/v1/pods", "watch=", ("watch", "", "pods", "", "", "")),
    ("GET", "/api/v1/pods", "watch=yes&limit=1", ("watch", "", "pods", "", "", "")),
    ("GET", "/api/v1/pods", "watch=0", ("list", "", "pods", "", "", "")),
    ("GET", "/api/v1/pods", "watch=False", ("list", "", "pods", "", "", "")),
    ("GET", "/api/v1/watch/pods", "", ("watch", "", "pods", "", "", "")),
    ("GET", "/api/v1/watch/namespaces/x/pods/p", "", ("watch", "", "pods", "", "x", "p")),
    ("GET", "/apis/apps/v1/watch/deployments", "", ("watch", "apps", "deployments", "", "", "")),
    ("GET", POD, "", ("get", "", "pods", "", "x", "p")),
    ("GET", POD, "watch=true", ("get", "", "pods", "", "x", "p")),
    ("POST", "/api/v1/namespaces/x/pods", "", ("create", "", "pods", "", "x", "")),
    ("PUT", POD, "", ("update", "", "pods", "", "x", "p")),
    ("PATCH", POD, "", ("patch", "", "pods", "", "x", "p")),
    ("DELETE", POD, "", ("delete", "", "pods", "", "x", "p")),
    ("DELETE", "/api/v1/namespaces/x/pods", "", ("deletecollection", "", "pods", "", "x", "")),
    ("GET", POD + "/log", "follow=true", ("get", "", "pods", "log", "x", "p")),
    ("GET", POD + "/exec", "command=ls", ("get", "", "pods", "exec", "x", "p")),
    ("POST", POD + "/exec", "command=ls", ("create", "", "pods", "exec", "x", "p")),
    ("POST", POD + "/attach", "", ("create", "", "pods", "attach", "x", "p")),
    ("POST", POD + "/portforward", "", ("create", "", "pods", "portforward", "x", "p")),
    ("POST", POD + "/eviction", "", ("create", "", "pods", "eviction", "x", "p")),
    ("PUT", POD + "/status", "", ("update", "", "pods", "status", "x", "p")),
    ("PATCH", POD + "/ephemeralcontainers", "", ("patch", "", "pods", "ephemeralcontainers", "x", "p")),
    ("GET", POD + "/proxy/a/b", "", ("get", "", "pods", "proxy/a/b", "x", "p")),
    (
        "GET",
        "/api/v1/namespaces/x/services/https:s:443/proxy/",
        "",
        ("get", "", "services", "proxy", "x", "https:s:443"),
    ),
    ("GET", "/api/v1/nodes/n/proxy/run/x/p/c", "", ("get", "", "nodes", "proxy/run/x/p/c", "", "n")),
    ("GET", "/api/v1/proxy/nodes/n", "", ("proxy", "", "nodes", "", "", "n")),
    (
        "POST",
        "/api/v1/namespaces/x/serviceaccounts/a/token",
        "",
        ("create", "", "serviceaccounts", "token", "x", "a"),
    ),
    ("PUT", "/apis/apps/v1/namespaces/x/deployments/d/scale", "", ("update", "apps", "deployments", "scale", "x", "d")),
    ("GET", "/api/v1/namespaces", "", ("list", "", "namespaces", "", "", "")),
    ("POST", "/api/v1/namespaces", "", ("create", "", "namespaces", "", "", "")),
    ("GET", "/api/v1/namespaces/x", "", ("get", "", "namespaces", "", "x", "x")),
    ("DELETE", "/api/v1/namespaces/x", "", ("delete", "", "namespaces", "", "x", "x")),
    ("PUT", "/api/v1/namespaces/x/finalize", "", ("update", "", "namespaces", "finalize", "x", "x")),
    ("PUT", "/api/v1/namespaces/x/status", "", ("update", "", "namespaces", "status", "x", "x")),
    ("GET", VMI + "/console", "", ("get", "subresources.kubevirt.io", "virtualmachineinstances", "console", "x", "vm")),
    ("GET", VMI + "/vnc", "", ("get", "subresources.kubevirt.io", "virtualmachineinstances", "vnc", "x", "vm")),
    (
        "GET",
        VMI + "/vnc/screenshot",
        "",
        ("get", "subresources.kubevirt.io", "virtualmachineinstances", "vnc/screenshot", "x", "vm"),
    ),
    (
        "GET",
        VMI + "/portforward/22/tcp",
        "",
        ("get", "subresources.kubevirt.io", "virtualmachineinstances", "portforward/22/tcp", "x", "vm"),
    ),
    (
        "GET",
        VMI + "/guestosinfo",
        "",
        ("get", "subresources.kubevirt.io", "virtualmachineinstances", "guestosinfo", "x", "vm"),
    ),
    ("PUT", VM + "/start", "", ("update", "subresources.kubevirt.io", "virtualmachines", "start", "x", "vm")),
    ("PUT", VM + "/stop", "", ("update", "subresources.kubevirt.io", "virtualmachines", "stop", "x", "vm")),
    ("PUT", VM + "/migrate", "", ("update", "subresources.kubevirt.io", "virtualmachines", "migrate", "x", "vm")),
    ("GET", "/version", "", ("get", "", "", "", "", "")),
    ("GET", "/", "", ("get", "", "", "", "", "")),
    ("GET", "/api", "", ("get", "", "", "", "", "")),
    ("GET", "/api/v1", "", ("get", "", "", "", "", "")),
    ("GET", "/apis/apps/v1", "", ("get", "", "", "", "", "")),
    ("POST", "/apis/apps/v1", "", ("create", "", "", "", "", "")),
    ("OPTIONS", "/api/v1/pods", "", ("options", "", "pods", "", "", "")),
]


@pytest.mark.parametrize(("method", "path", "query", "expected"), TABLE)
def test_sec22_verb_and_resource_are_those_that_the_member_authorises(
    method: str, path: str, query: str, expected: tuple[str, str, str, str, str, str]
) -> None:
    found = read_attributes(method, path, query)
    assert found.path == path
    assert (
        found.verb,
        found.group,
        found.resource,
        found.subresource,
        found.namespace,
        found.name,
    ) == expected


SESSIONS = ["exec", "attach", "portforward", "proxy", "console", "vnc", "usbredir", "vsock"]
PLAIN_SUBRESOURCES = ["", "status", "scale", "log", "token", "eviction", "finalize", "start", "stop", "migrate"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@pytest.mark.parametrize(("method", "subresource"), list(itertools.product(METHODS, SESSIONS + PLAIN_SUBRESOURCES)))
def test_sec22_only_a_get_of_what_opens_nothing_is_a_read(method: str, subresource: str) -> None:
    for base in (POD, VMI):
        path = f"{base}/{subresource}" if subresource else base
        found = read_attributes(method, path, "")
        assert found.connects is (subresource in SESSIONS)
        assert found.reads is (method in {"GET", "HEAD"} and subresource not in SESSIONS)
        if subresource in SESSIONS:  # and whatever is asked for below it
            deeper = read_attributes(method, f"{path}/deeper", "")
            assert deeper.connects
            assert not deeper.reads


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_sec22_the_old_watch_path_makes_no_read_of_a_write(method: str) -> None:
    assert not read_attributes(method, "/api/v1/watch/pods", "watch=true").reads


def test_sec22_the_old_proxy_path_is_no_read() -> None:
    found = read_attributes("GET", "/api/v1/proxy/namespaces/x/services/s", "")
    assert found.connects
    assert not found.reads


@pytest.mark.parametrize(
    ("path", "query", "is_one"),
    [
        ("/api/v1/secrets", "", True),
        ("/api/v1/namespaces/x/secrets/s", "", True),
        ("/api/v1/namespaces/x/secrets", "watch=1", True),
        ("/api/v1/watch/secrets", "", True),
        ("/apis/example.io/v1/secrets", "", False),
        ("/api/v1/namespaces/secrets", "", False),
        ("/api/v1/configmaps", "", False),
    ],
)
def test_reading_secrets_is_told_apart(path: str, query: str, is_one: bool) -> None:
    assert read_attributes("GET", path, query).reads_secret is is_one


AMBIGUOUS = [
    "//",
    "/api//v1/pods",
    "//api/v1/pods",
    "/api/v1/pods//",
    "/./api/v1",
    "/../",
    "/..",
    "/.",
    "/api/v1/../v1/pods",
    "/api/v1/namespaces/x/../y/pods",
    "/api/v1/namespaces/x/pods/..",
    "/api/v1/namespaces/x/pods/.",
    "/api/v1/namespaces/%2e%2e/pods",
    "/api/v1/namespaces/.%2e/pods",
    "/api/v1/namespaces/%2E./pods",
    "/api/v1/namespaces/x%2fpods",
    "/api/v1/namespaces/x%2Fpods",
    "/api/v1/namespaces/x%252fpods",
    "/api/v1/namespaces/x%25%32%66pods",
    "/api/v1\\namespaces",
    "/api/v1/namespaces/..\\..\\x",
    "/api/v1/namespaces/x%5c..",
    "/api/v1/pods;x=1",
    "/api/v1/pods;/x",
    "/api/v1/pods%3bx",
    "/api/v1/pods%00",
    "/api/v1/pods%0a",
    "/api/v1/pods%0D%0Ax",
    "/api/v1/pods%1f",
    "/api/v1/pods%7f",
    "/api/v1/pods%",
    "/api/v1/pods%2",
    "/api/v1/pods%zz",
    "/api/v1/pods%u002f",
    "/api/v1/%c0%af",  # overlong slash
    "/api/v1/%c0%ae%c0%ae/x",  # overlong dots
    "/api/v1/%e0%80%af",
    "/api/v1/%ff",
    "/api/v1/%ed%a0%80",  # half of a surrogate pair
]


@pytest.mark.parametrize("path", AMBIGUOUS)
def test_sec21_a_path_that_can_be_read_in_two_ways_is_refused(path: str) -> None:
    with pytest.raises(AmbiguousPath):
        read_attributes("GET", path, "")


def _parts(found: RequestAttributes) -> list[str]:
    """The path's segments, put together from the attributes again."""
    prefix = ["apis", found.group, found.version] if found.group else ["api", found.version]
    namespace = ["namespaces", found.namespace] if found.namespace and found.resource != "namespaces" else []
    rest = [part for part in (found.resource, found.name, found.subresource) if part]
    return [*prefix, *namespace, *rest]


def test_sec21_of_generated_paths_each_is_read_whole_or_refused() -> None:
    """4,000 paths out of plain and of dangerous pieces: what is accepted says exactly what the path says."""
    chance = random.Random(4711)
    plain = [
        "x",
        "kube-system",
        "a.b",
        "a..b",
        "...",
        "pods",
        "%20",
        "%C3%A4",
        "a:b",
        "~",
        "@",
        "a=b",
        "status",
        "exec",
    ]
    dangerous = ["..", ".", "", "%2e%2e", "%2f", "%252f", ";a", "a\\b", "%00", "%5c", "%", "%c0%af", "%0a"]
    accepted = refused = 0
    for _ in range(4000):
        pieces = [chance.choice(plain) for _ in range(chance.randint(1, 5))]
        spoiled = chance.random() < 0.5
        if spoiled:
            pieces.insert(chance.randrange(len(pieces)), chance.choice(dangerous))
        path = chance.choice(["/api/v1/", "/apis/g.io/v1/"]) + "/".join(pieces)
        try:
            found = read_attributes("GET", path, "")
        except AmbiguousPath:
            assert spoiled, path
            refused += 1
            continue
        accepted += 1
        assert not spoiled, path
        assert found.path == path
        assert "/".join(_parts(found)) == unquote(path).strip("/")
    assert accepted > 1000
    assert refused > 1000


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60))
def test_sec21_an_accepted_path_decodes_once_and_never_climbs(tail: str) -> None:
    path = "/api/v1/" + tail
    try:
        check_path(path)
    except AmbiguousPath:
        return
    decoded = unquote(path, errors="strict")
    assert unquote(decoded) == decoded  # nothing is left that a second reader would decode
    assert decoded.count("/") == path.count("/")
    assert not {".", ".."} & set(decoded.split("/"))
    assert "\\" not in decoded
    assert decoded.isprintable()
