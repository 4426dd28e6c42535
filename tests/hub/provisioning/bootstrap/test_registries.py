"""registries.yaml and the files it names."""

import json

import pytest

from hub.provisioning.bootstrap.checks import BootstrapInvalid
from hub.provisioning.bootstrap.files import NodeFile
from hub.provisioning.bootstrap.pki import GuestPki
from hub.provisioning.bootstrap.registries import Mirror, Registries, RegistryAccess


def test_mirrors_access_and_trust_become_registries_yaml_and_pem_files(pki: GuestPki) -> None:
    ca = pki.server_ca.cert_pem
    registries = Registries(
        mirrors={
            "docker.io": Mirror(("https://mirror.example:5000",), {"^lib/(.*)": "proxy/$1"}),
            "*": Mirror(("https://mirror.example:5000",)),
        },
        access={
            "mirror.example:5000": RegistryAccess("robot$ci", "pa: ss'\"\\", ca_pem=ca),
            "lab.example": RegistryAccess(identity_token="t", insecure_skip_verify=True),
        },
    )
    registries.check("/registries")
    main, *pems = registries.files("/etc/rancher/k3s")
    assert json.loads(main.content) == {
        "mirrors": {
            "docker.io": {"endpoint": ["https://mirror.example:5000"], "rewrite": {"^lib/(.*)": "proxy/$1"}},
            "*": {"endpoint": ["https://mirror.example:5000"]},
        },
        "configs": {
            "lab.example": {"auth": {"identity_token": "t"}, "tls": {"insecure_skip_verify": True}},
            "mirror.example:5000": {
                "auth": {"username": "robot$ci", "password": "pa: ss'\"\\"},
                "tls": {"ca_file": "/etc/rancher/k3s/registry-1-ca.pem"},
            },
        },
    }
    assert (main.path, main.permissions) == ("/etc/rancher/k3s/registries.yaml", "0600")
    assert pems == [NodeFile("/etc/rancher/k3s/registry-1-ca.pem", ca, "0600")]


@pytest.mark.parametrize(
    ("registries", "pointer"),
    [
        (Registries({"a b": Mirror(())}), "/registries/mirrors"),
        (Registries({"docker.io/x": Mirror(())}), "/registries/mirrors"),
        (Registries({"docker.io": Mirror(("ftp://x",))}), "/registries/mirrors/docker.io/endpoints/0"),
        (Registries({"docker.io": Mirror(("https://u:p@x",))}), "/registries/mirrors/docker.io/endpoints/0"),
        (Registries({"docker.io": Mirror(("https://x:port",))}), "/registries/mirrors/docker.io/endpoints/0"),
        (Registries({"docker.io": Mirror(("https://x\n",))}), "/registries/mirrors/docker.io/endpoints/0"),
        (Registries({"*": Mirror((), {"a\n": "b"})}), "/registries/mirrors/*/rewrites"),
        (Registries({}, {"*": RegistryAccess()}), "/registries/access"),
        (Registries({}, {"x": RegistryAccess(username="u")}), "/registries/access/x/password"),
        (Registries({}, {"x": RegistryAccess(ca_pem="trust me")}), "/registries/access/x/ca_pem"),
        (Registries({}, {"x": RegistryAccess(identity_token="a\x00b")}), "/registries/access/x/identity_token"),
    ],
)
def test_registries_of_nonsense_are_refused(registries: Registries, pointer: str) -> None:
    with pytest.raises(BootstrapInvalid) as refused:
        registries.check("/registries")
    assert refused.value.pointer == pointer


def test_no_secret_of_a_registry_shows_in_repr() -> None:
    access = RegistryAccess("u", "pass-secret", "token-secret", key_pem="key-secret", cert_pem="c")
    assert "secret" not in repr(access)
