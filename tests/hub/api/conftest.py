"""Who calls, in every test of the API."""

import pytest

from hub.tenancy.models import Tenant
from tests.hub.api.callers import Caller, make_caller
from tests.hub.api.matrix_world import world  # noqa: F401  (a fixture, found by name)
from tests.hub.api.orders import Place, make_place
from tests.hub.builders import make_tenant
from tests.workers.stage import stage  # noqa: F401  (a fixture, found by name)


@pytest.fixture
def admin(db: None) -> Caller:
    """An administrator of the hub."""
    return make_caller("hub-admin")


@pytest.fixture
def nobody(db: None) -> Caller:
    """Somebody with an account and no role at all."""
    return make_caller()


@pytest.fixture
def stranger() -> Caller:
    """Somebody without an account."""
    return Caller()


@pytest.fixture
def tenant(db: None) -> Tenant:
    return make_tenant()


@pytest.fixture
def owner(tenant: Tenant) -> Caller:
    """The owner of ``tenant``."""
    return make_caller("tenant-owner", tenant)


@pytest.fixture
def foreigner(db: None) -> Caller:
    """The owner of another tenant."""
    return make_caller("tenant-owner", make_tenant())


@pytest.fixture
def place(tenant: Tenant) -> Place:
    """Where ``owner`` may order guest clusters."""
    return make_place(tenant)
