"""Checks over every model of the hub."""

from django.apps import apps
from django.core.checks import run_checks
from django.db import models
from django.db.models import Model

from hub.core.checks import check_due_indexes, check_secrets_are_sealed, clear_secret_fields
from hub.core.sealed import SealedText
from tests.rows import Pump


def test_sec01_no_model_of_the_hub_stores_a_secret_in_clear() -> None:
    assert {model.__name__: found for model in apps.get_models() if (found := clear_secret_fields(model))} == {}


def test_every_reconciled_model_has_the_index_of_due_rows() -> None:
    assert check_due_indexes(None) == []


def test_sec01_a_new_field_named_like_a_secret_is_found() -> None:
    class Careless(Model):
        join_token = models.TextField()
        password = models.CharField(max_length=10)
        credentials = models.JSONField()
        client_key_pem = models.BinaryField()
        token_hash = models.CharField(max_length=10)
        token_id = models.CharField(max_length=10)
        tokens_left = models.IntegerField()
        good_token = SealedText()

        class Meta:
            app_label = "core"

    try:
        assert clear_secret_fields(Careless) == ["join_token", "password", "credentials", "client_key_pem"]
        assert len(check_secrets_are_sealed(None)) == 4
    finally:
        del apps.all_models["core"]["careless"]
        apps.clear_cache()


def test_a_reconciled_model_without_the_index_is_found(monkeypatch: object) -> None:
    indexes = Pump._meta.indexes
    Pump._meta.indexes = []
    try:
        (error,) = check_due_indexes(None)
        assert (error.id, error.obj) == ("paddock.E001", Pump)
    finally:
        Pump._meta.indexes = indexes


def test_the_checks_run_with_all_others() -> None:
    assert [message for message in run_checks() if (message.id or "").startswith("paddock.")] == []
