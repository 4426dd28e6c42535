"""Kubeconfigs: what is taken, what is refused with which code, and that what we write can be read."""

from __future__ import annotations

import base64
import contextlib
import copy
import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from kube.errors import InvalidKubeconfig
from kube.guard import AddressGuard
from kube.kubeconfig import MAX_BYTES, PROBLEMS, parse_kubeconfig, render_kubeconfig
from tests.bed.pki import Authority, KeyPair

Config = dict[str, Any]


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture(scope="session")
def pair(authority: Authority) -> KeyPair:
    return authority.issue_client("admin", ["system:masters"])


@pytest.fixture
def config(authority: Authority) -> Config:
    """A good one, to be spoilt."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "clusters": [
            {
                "name": "c",
                "cluster": {
                    "server": "https://10.0.0.10:6443",
                    "certificate-authority-data": b64(authority.certificate_pem),
                },
            }
        ],
        "users": [{"name": "u", "user": {"token": "sesame"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "default"}}],
        "current-context": "x",
    }


def cluster_of(config: Config) -> Config:
    cluster: Config = config["clusters"][0]["cluster"]
    return cluster


def user_of(config: Config) -> Config:
    user: Config = config["users"][0]["user"]
    return user


def refusal(config: Config | str, **arguments: Any) -> InvalidKubeconfig:
    text = config if isinstance(config, str) else yaml.safe_dump(config)
    with pytest.raises(InvalidKubeconfig) as caught:
        parse_kubeconfig(text, **arguments)
    assert caught.value.fix
    return caught.value


def test_a_kubeconfig_with_a_token_is_read(config: Config, authority: Authority) -> None:
    credentials = parse_kubeconfig(yaml.safe_dump(config))
    assert credentials.servers == ("https://10.0.0.10:6443",)
    assert credentials.token == "sesame"
    assert credentials.ca_pem == authority.certificate_pem
    assert credentials.client_cert_pem is None


def test_a_kubeconfig_in_json_is_read(config: Config) -> None:
    assert parse_kubeconfig(json.dumps(config)).token == "sesame"


def test_a_kubeconfig_with_a_client_certificate_is_read(config: Config, pair: KeyPair) -> None:
    config["users"][0]["user"] = {
        "client-certificate-data": b64(pair.certificate_pem),
        "client-key-data": b64(pair.key_pem),
    }
    credentials = parse_kubeconfig(yaml.safe_dump(config))
    assert credentials.client_cert_pem == pair.certificate_pem
    assert credentials.client_key_pem == pair.key_pem
    assert credentials.token is None


def test_a_folded_base64_block_is_read(config: Config, authority: Authority) -> None:
    encoded = b64(authority.certificate_pem)
    cluster_of(config)["certificate-authority-data"] = "\n".join(
        encoded[i : i + 64] for i in range(0, len(encoded), 64)
    )
    assert parse_kubeconfig(yaml.safe_dump(config)).ca_pem == authority.certificate_pem


def test_text_beside_the_certificates_is_not_kept(config: Config, authority: Authority) -> None:
    cluster_of(config)["certificate-authority-data"] = b64("# noise\n" + authority.certificate_pem + "noise")
    assert parse_kubeconfig(yaml.safe_dump(config)).ca_pem == authority.certificate_pem


def test_of_several_contexts_the_current_one_counts(config: Config) -> None:
    config["clusters"].append({"name": "c2", "cluster": {"server": "https://10.0.0.11:6443"}})
    config["users"].append({"name": "u2", "user": {"token": "second"}})
    config["contexts"].append({"name": "x2", "context": {"cluster": "c2", "user": "u2"}})
    config["current-context"] = "x2"
    credentials = parse_kubeconfig(yaml.safe_dump(config))
    assert (credentials.servers, credentials.token) == (("https://10.0.0.11:6443",), "second")


def test_what_another_context_does_is_not_kept(config: Config) -> None:
    config["users"].append({"name": "cloud", "user": {"exec": {"command": "aws"}}})
    config["contexts"].append({"name": "cloud", "context": {"cluster": "c", "user": "cloud"}})
    assert parse_kubeconfig(yaml.safe_dump(config)).token == "sesame"


def test_the_expected_name_of_the_certificate_is_taken_over(config: Config) -> None:
    cluster_of(config)["tls-server-name"] = "kubernetes"
    assert parse_kubeconfig(yaml.safe_dump(config)).tls_server_name == "kubernetes"


def test_empty_and_absent_are_the_same(config: Config) -> None:
    cluster_of(config).update({"certificate-authority": "", "proxy-url": None, "insecure-skip-tls-verify": False})
    user_of(config).update({"exec": None, "client-certificate": "", "client-key-data": "", "username": ""})
    assert parse_kubeconfig(yaml.safe_dump(config)).token == "sesame"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("exec", {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh"}, "exec"),
        ("exec", {}, "exec"),
        ("auth-provider", {"name": "gcp", "config": {"cmd-path": "/bin/sh"}}, "auth_provider"),
        ("tokenFile", "/var/run/secrets/token", "token_file"),
        ("client-certificate", "/etc/ssl/client.crt", "client_certificate_file"),
        ("client-key", "../../etc/shadow", "client_key_file"),
        ("username", "admin", "basic_auth"),
        ("password", "admin", "basic_auth"),
        ("as", "system:admin", "impersonation"),
        ("as-uid", "1", "impersonation"),
        ("as-groups", ["system:masters"], "impersonation"),
        ("as-user-extra", {"scopes": ["a"]}, "impersonation"),
        ("token-command", "id", "unknown_field"),
    ],
)
def test_sec61_a_user_that_is_more_than_inline_secrets_is_refused(
    config: Config, field: str, value: object, code: str
) -> None:
    user_of(config)[field] = value
    assert refusal(config).code == f"kubeconfig.{code}"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("certificate-authority", "/etc/ssl/ca.crt", "certificate_authority_file"),
        ("proxy-url", "http://proxy:3128", "proxy_url"),
        ("insecure-skip-tls-verify", True, "insecure_skip_tls_verify"),
        ("insecure-skip-tls-verify", "yes", "insecure_skip_tls_verify"),
        ("certificate-authority-files", ["x"], "unknown_field"),
    ],
)
def test_sec61_a_cluster_that_is_more_than_address_and_ca_is_refused(
    config: Config, field: str, value: object, code: str
) -> None:
    cluster_of(config)[field] = value
    assert refusal(config).code == f"kubeconfig.{code}"


@pytest.mark.parametrize(
    ("server", "code"),
    [
        ("http://10.0.0.10:6443", "http_server"),
        ("HTTP://10.0.0.10", "http_server"),
        ("", "server_invalid"),
        (None, "server_invalid"),
        ("10.0.0.10:6443", "server_invalid"),
        ("file:///etc/passwd", "server_invalid"),
        ("https://user:pw@10.0.0.10", "server_invalid"),
        ("https://10.0.0.10:99999", "server_invalid"),
        ("https://10.0.0.10/?x", "server_invalid"),
        ("https://10.0.0.10/api/..", "server_invalid"),
        ("https://10.0.0.10/prefix", "server_path"),
        ("https://10.0.0.10/k8s/clusters", "server_path"),
        ("https://10.0.0.10/k8s/clusters/local/v1", "server_path"),
        ("https://10.0.0.10/k8s/clusters/local", "embedded_rancher"),
        ("https://10.0.0.10/k8s/clusters/local/", "embedded_rancher"),
        ("https://rancher.example/k8s/clusters/c-m-abcdefgh", "embedded_rancher"),
        ("https://127.0.0.1:6443", "loopback_server"),
        ("https://127.9.9.9:6443", "loopback_server"),
        ("https://localhost:6443", "loopback_server"),
        ("https://kube.localhost", "loopback_server"),
        ("https://[::1]:6443", "loopback_server"),
        ("https://0.0.0.0:6443", "loopback_server"),
        (6443, "malformed"),
    ],
)
def test_a_server_that_cannot_be_used_is_refused_with_its_own_code(config: Config, server: object, code: str) -> None:
    cluster_of(config)["server"] = server
    assert refusal(config).code == f"kubeconfig.{code}"


def test_the_kubeconfig_of_the_embedded_rancher_is_told_what_to_take_instead(config: Config) -> None:
    cluster_of(config)["server"] = "https://10.0.0.10/k8s/clusters/local"
    refused = refusal(config)
    assert "/etc/rancher/rke2/rke2.yaml" in refused.fix
    assert ":6443" in refused.fix


def test_a_kubeconfig_from_the_node_is_told_to_name_the_virtual_ip(config: Config) -> None:
    cluster_of(config)["server"] = "https://127.0.0.1:6443"
    refused = refusal(config)
    assert "https://<VIP>:6443" in refused.fix
    assert "tls-san" in refused.fix
    assert "127.0.0.1:6443" in refused.message


def test_loopback_is_fine_where_the_guard_permits_it(config: Config) -> None:
    guard = AddressGuard(allow=["127.0.0.1:6443"])
    for server in ("https://127.0.0.1:6443", "https://localhost:6443"):
        cluster_of(config)["server"] = server
        assert parse_kubeconfig(yaml.safe_dump(config), guard=guard).servers == (server,)
    cluster_of(config)["server"] = "https://127.0.0.1:5432"
    assert refusal(config, guard=guard).code == "kubeconfig.loopback_server"


def test_sec57_an_address_that_the_guard_refuses_is_told_at_once(config: Config) -> None:
    cluster_of(config)["server"] = "https://169.254.169.254"
    assert refusal(config, guard=AddressGuard()).code == "kubeconfig.address_refused"


def test_our_own_kubeconfig_may_be_read_when_it_is_asked_for(config: Config) -> None:
    cluster_of(config)["server"] = "https://hub.example/k8s/clusters/019a-b"
    assert parse_kubeconfig(yaml.safe_dump(config), proxied=True).servers == (
        "https://hub.example/k8s/clusters/019a-b",
    )
    cluster_of(config)["server"] = "https://hub.example/other"
    assert refusal(config, proxied=True).code == "kubeconfig.server_path"


def remove(*path: str | int) -> Callable[[Config], None]:
    def spoil(config: Config) -> None:
        place: Any = config
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return spoil


def put(value: object, *path: str | int) -> Callable[[Config], None]:
    def spoil(config: Config) -> None:
        place: Any = config
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return spoil


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (remove("kind"), "not_kubeconfig"),
        (put("List", "kind"), "not_kubeconfig"),
        (put("v2", "apiVersion"), "not_kubeconfig"),
        (remove("current-context"), "no_context"),
        (put("", "current-context"), "no_context"),
        (put(["x"], "current-context"), "malformed"),
        (put("other", "current-context"), "not_found"),
        (remove("contexts"), "malformed"),
        (put({}, "clusters"), "malformed"),
        (put([], "clusters"), "not_found"),
        (put([None, "c", 7], "clusters"), "not_found"),
        (put([{"name": "c"}], "clusters"), "malformed"),
        (put("gone", "contexts", 0, "context", "user"), "not_found"),
        (remove("contexts", 0, "context", "cluster"), "not_found"),
        (put(1, "contexts", 0, "context", "other"), "unknown_field"),
        (put(12345, "users", 0, "user", "token"), "malformed"),
        (put(datetime.date(2026, 1, 1), "users", 0, "user", "token"), "malformed"),
        (put("a b\nc", "users", 0, "user", "token"), "malformed"),
        (remove("users", 0, "user", "token"), "no_identity"),
        (put("%%%", "clusters", 0, "cluster", "certificate-authority-data"), "malformed"),
        (put(b64("no pem"), "clusters", 0, "cluster", "certificate-authority-data"), "malformed"),
        (put(["x"], "clusters", 0, "cluster", "certificate-authority-data"), "malformed"),
        (put(b64("no pem"), "users", 0, "user", "client-key-data"), "malformed"),
        (put(7, "clusters", 0, "cluster", "tls-server-name"), "malformed"),
    ],
)
def test_a_malformed_kubeconfig_is_refused_with_its_own_code(
    config: Config, spoil: Callable[[Config], None], code: str
) -> None:
    spoil(config)
    assert refusal(config).code == f"kubeconfig.{code}"


def test_two_entries_of_one_name_are_refused(config: Config) -> None:
    config["users"].append(copy.deepcopy(config["users"][0]))
    assert refusal(config).code == "kubeconfig.malformed"


@pytest.mark.parametrize("text", ["", "null", "[]", "hello", "7"])
def test_a_document_that_is_no_mapping_is_no_kubeconfig(text: str) -> None:
    assert refusal(text).code == "kubeconfig.not_kubeconfig"


@pytest.mark.parametrize("text", ["a: [", "a: &x 1\nb: *x", "!!python/name:os.system ''", "a: 1\na: 1", "[" * 500])
def test_sec65_bombs_and_tricks_are_refused(text: str) -> None:
    assert refusal(text).code == "kubeconfig.not_yaml"


def test_sec65_a_large_document_is_refused() -> None:
    assert refusal("#" * (MAX_BYTES + 1)).code == "kubeconfig.too_large"


def test_a_certificate_and_a_key_that_do_not_match_are_refused(
    config: Config, pair: KeyPair, authority: Authority
) -> None:
    other = authority.issue_client("other")
    user_of(config)["client-certificate-data"] = b64(pair.certificate_pem)
    assert refusal(config).code == "kubeconfig.client_pair"
    user_of(config)["client-key-data"] = b64(other.key_pem)
    assert refusal(config).code == "kubeconfig.client_pair"


def test_an_encrypted_key_is_refused(config: Config, pair: KeyPair) -> None:
    encrypted = serialization.load_pem_private_key(pair.key_pem.encode(), None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pw")
    )
    user_of(config)["client-certificate-data"] = b64(pair.certificate_pem)
    user_of(config)["client-key-data"] = b64(encrypted.decode())
    refused = refusal(config)
    assert refused.code == "kubeconfig.malformed"
    assert "password" in refused.message


def test_an_expired_client_certificate_is_told(config: Config) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "old")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC))
        .sign(key, hashes.SHA256())
    )
    user_of(config)["client-certificate-data"] = b64(certificate.public_bytes(serialization.Encoding.PEM).decode())
    user_of(config)["client-key-data"] = b64(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
    )
    refused = refusal(config)
    assert refused.code == "kubeconfig.client_certificate_expired"
    assert "2021-01-01" in refused.message


def test_no_refusal_repeats_a_secret(config: Config) -> None:
    user_of(config).update({"token": "top\nsecret", "password": "hunter2"})
    assert "hunter2" not in str(refusal(config))
    del user_of(config)["password"]
    assert "secret" not in str(refusal(config))


def test_every_refusal_has_a_message_and_a_fix() -> None:
    assert all(message and fix for message, fix in PROBLEMS.values())


def test_what_we_render_we_read(authority: Authority, pair: KeyPair) -> None:
    text = render_kubeconfig(
        name="prod: 'a' #1",
        server="https://10.0.0.1:6443",
        ca_pem=authority.certificate_pem,
        client_cert_pem=pair.certificate_pem,
        client_key_pem=pair.key_pem,
        namespace="team",
    )
    credentials = parse_kubeconfig(text)
    assert credentials.client_key_pem == pair.key_pem
    assert yaml.safe_load(text)["contexts"][0]["context"]["namespace"] == "team"


@given(
    name=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=40),
    token=st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1, max_size=60),
)
def test_sec66_any_name_and_token_round_trip(name: str, token: str) -> None:
    text = render_kubeconfig(name=name, server="https://10.0.0.1:6443", ca_pem=None, token=token)
    assert parse_kubeconfig(text).token == token
    assert yaml.safe_load(text)["current-context"] == name


@given(st.recursive(st.none() | st.booleans() | st.text(max_size=8), lambda x: st.lists(x, max_size=3), max_leaves=5))
def test_any_value_anywhere_is_a_refusal_and_no_crash(value: object) -> None:
    base: Config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    places: list[tuple[str | int, ...]] = [
        ("clusters",),
        ("clusters", 0),
        ("clusters", 0, "cluster"),
        ("clusters", 0, "cluster", "server"),
        ("users", 0, "user", "token"),
        ("users", 0, "user", "client-key-data"),
        ("contexts", 0, "context", "cluster"),
        ("current-context",),
    ]
    for place in places:
        config = copy.deepcopy(base)
        put(value, *place)(config)
        with contextlib.suppress(InvalidKubeconfig):
            assert parse_kubeconfig(yaml.safe_dump(config)).servers
