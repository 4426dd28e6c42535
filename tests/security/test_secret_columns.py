"""SEC-01: what is named like a secret is sealed or a keyed hash, in every model there is and will be."""

import inspect
import re
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db.models import BinaryField, CharField, Field, JSONField, Model, TextField

from hub.core.checks import clear_secret_fields
from hub.core.sealed import SealedText

# Kept as hashes although nothing keys them: the text is random with 128 bits or more, or the hash is made to be slow.
UNKEYED = {
    "identity.User.password_hash": "Argon2",
    "identity.SignOn.id": "of a random state, used once within minutes",
    "identity.SignOn.browser_hash": "of a random cookie, used once within minutes",
    "identity.SeenLogoutToken.id": "of a random jti",
}
JSON_COLUMNS = {
    "access.Role.inherits": "ids and names of roles",
    "access.Role.kubernetes_rules": "typed rules",
    "access.Role.rules": "typed rules",
    "access.Role.scopes": "words of a fixed set",
    "allowances.Quota.limits": "numbers by fixed names",
    "allowances.Quota.namespace_defaults": "numbers by fixed names",
    "allowances.QuotaUse.amounts": "numbers by fixed names",
    "api.KeptAnswer.headers": "ETag and Location",
    "audit.AuditEvent.actor_groups": "ids",
    "audit.AuditEvent.changes": "masked by hub.audit.diff",
    "audit.AuditEvent.detail": "masked by hub.audit.diff",
    "federation.Cluster.capabilities": "what a member was seen to have",
    "federation.Cluster.checks": "what was seen of a member",
    "federation.Cluster.endpoints": "addresses",
    "federation.Cluster.groups": "names of groups",
    "federation.Cluster.labels": "labels as Kubernetes takes them",
    "identity.ApiToken.scope": "typed scope",
    "identity.CliLogin.scope": "typed scope",
    "identity.IdentityProvider.allowed_groups": "keys of groups",
    "identity.IdentityProvider.scopes": "names of scopes",
    "identity.ProviderDraft.settings": "the provider's columns; its secrets are sealed beside it",
    "identity.ProviderDraft.steps": "what was seen of a provider",
    "operations.Operation.error": "a code and its parameters",
    "operations.Operation.steps": "messages, masked",
    "provisioning.GuestCluster.network": "typed; checked by the bootstrap's model",
    "provisioning.GuestCluster.options": "typed; distribution options by an allow list; registries name credentials",
    "provisioning.Machine.static_address": "typed addresses",
    "provisioning.NodePool.labels": "labels as Kubernetes takes them",
    "provisioning.NodePool.settings": "the driver's typed settings",
    "provisioning.NodePool.static_addresses": "typed addresses",
    "provisioning.NodePool.taints": "typed taints",
    "tenancy.Credential.data_keys": "names of keys",
}
_HASH = re.compile(r"_hash$|^hash$")


def columns() -> list[tuple[type[Model], "Field[object, object]"]]:
    return [
        (model, field)
        for model in apps.get_models()
        if model._meta.app_config.module.__name__.startswith("hub.")  # type: ignore[union-attr]
        for field in model._meta.concrete_fields
    ]


def test_sec01_no_column_that_is_named_like_a_secret_is_in_the_clear() -> None:
    assert {model.__name__: found for model in apps.get_models() if (found := clear_secret_fields(model))} == {}


def test_sec01_every_hash_of_a_secret_is_keyed_and_says_by_which_pepper() -> None:
    for model, field in columns():
        if _HASH.search(field.name) and f"{model._meta.label}.{field.name}" not in UNKEYED:
            assert isinstance(field, BinaryField), (model, field.name)
            assert "pepper_id" in {other.name for other in model._meta.concrete_fields}, (model, field.name)


@pytest.mark.parametrize("name", ["wifi_password", "api_token", "client_secret", "signing_private_key", "kubeconfig"])
@pytest.mark.parametrize("kind", [CharField, TextField, JSONField, BinaryField])
def test_sec01_the_check_would_find_a_new_one(name: str, kind: type["Field[object, object]"]) -> None:
    class Careless:
        class _meta:
            concrete_fields = [kind(name=name)]

    assert clear_secret_fields(Careless) == [name]  # type: ignore[arg-type]
    sealed = SealedText()
    sealed.name = name
    Careless._meta.concrete_fields = [sealed]
    assert clear_secret_fields(Careless) == []  # type: ignore[arg-type]


def test_sec02_free_json_is_in_few_places_that_are_known_to_hold_no_secret() -> None:
    """Who adds a column of JSON looks at what goes in, and names it here with what keeps secrets out."""
    found = {f"{model._meta.label}.{field.name}" for model, field in columns() if isinstance(field, JSONField)}
    assert {name for name in found if not name.endswith(".conditions")} == set(JSON_COLUMNS)


def test_sealed_text_has_no_lookup_but_whether_it_is_there() -> None:
    assert "isnull" in inspect.getsource(SealedText.get_lookup)
    assert SealedText().get_lookup("startswith") is None


def test_sec13_no_key_is_in_the_tree_of_the_product() -> None:
    """Files of keys have this shape; tests make theirs."""
    shape = re.compile(r'"peppers"\s*:\s*\{\s*"[a-z0-9]+"\s*:\s*"[A-Za-z0-9+/]{43}="')
    for folder in ("hub", "workers", "deploy", "docs"):
        for path in (Path(settings.BASE_DIR) / folder).rglob("*"):
            if path.is_file() and path.suffix in {".py", ".json", ".yaml", ".yml", ".md", ".txt"}:
                assert not shape.search(path.read_text(errors="replace")), path
