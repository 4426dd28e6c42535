"""Django's settings, all of them derived from ``hub.core.environment``."""

import secrets
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from hub.core.database import database_settings
from hub.core.environment import environment
from hub.core.keys import key_ring
from hub.core.logs import build_logging

_environment = environment()

BASE_DIR = Path(__file__).resolve().parents[2]

DEBUG = False  # Django's debug pages show settings and variables; there is no way to turn them on
# Commands such as makemigrations and prepare run without a keys file; what they sign nobody reads.
_has_keys = _environment.keys_file is not None and _environment.keys_file.exists()
SECRET_KEY = key_ring().signing.hex() if _has_keys else secrets.token_hex(32)
ALLOWED_HOSTS = sorted({str(urlsplit(_environment.url).hostname), "localhost", "127.0.0.1", "[::1]"})

INSTALLED_APPS = [
    "hub.core",
    "hub.audit",
    "hub.operations",
    "hub.identity",
    "hub.tenancy",
    "hub.federation",
    "hub.allowances",
    "hub.access",
    "hub.provisioning",
    "hub.api",
    "hub.pages",
    "hub.stream",
    "hub.quickstart",
    "workers",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    # Guards for whoever writes migrations; not part of an installation.
    *(app for app in ("django_linear_migrations", "django_migration_linter") if find_spec(app)),
]
AUTH_USER_MODEL = "identity.User"

DATABASES = {"default": database_settings(_environment.database_url, _environment)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

ROOT_URLCONF = "hub.config.urls"
WSGI_APPLICATION = "hub.config.wsgi.application"
MIDDLEWARE = ["hub.api.middleware.EntranceMiddleware"]
APPEND_SLASH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")  # only the stream server reaches the web socket

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False  # the API answers codes and parameters; text is made in the client's language

PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]

REST_FRAMEWORK = {
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}

LOGGING_CONFIG = "logging.config.dictConfig"
LOGGING = build_logging(_environment.log_level, _environment.log_format)

MIGRATION_LINTER_OPTIONS = {
    "exclude_apps": ["rest_framework"],
    "sql_analyser": "postgresql",
    "no_cache": True,
    # Read by people, because the linter cannot see that the version before lives with them:
    "ignore_name": [
        "0002_sign_on",  # a user's name may be longer than before
        "0003_custom_roles_groups_invitations",  # bindings are unique with the group, which the version before leaves empty
        "0003_one_default_namespace",  # on a column that the version before does not know and whose default passes
    ],
}
