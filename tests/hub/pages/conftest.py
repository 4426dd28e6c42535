"""Who looks at the pages."""

import pytest

from hub.core.access import SYSTEM
from hub.identity.models import User
from hub.identity.services import create_user
from tests.hub.builders import unique
from tests.hub.pages.browser import Browser

PASSWORD = "correct horse battery staple"


@pytest.fixture
def anna(db: None) -> User:
    """A local user."""
    return create_user(SYSTEM, unique("anna"), password=PASSWORD, display_name="Anna")


@pytest.fixture
def browser() -> Browser:
    return Browser()


@pytest.fixture
def logged_in(anna: User, browser: Browser) -> Browser:
    """Anna's browser after her login."""
    assert browser.log_in(anna.username, PASSWORD).target == "/account"
    return browser
