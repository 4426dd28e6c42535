"""Logging of every process: structured lines with the request id, and a filter for secrets as the last net.

The net under the net: sealed values mask themselves, error parameters carry none. What is caught here still is a
defect.
"""

import logging
import re
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

from .requests import request_context

MASK = "***"

_SECRETS = re.compile(
    "|".join(
        (
            r"(?<=\bpd[a-z]_)[A-Za-z0-9]+_[A-Za-z0-9_-]{8,}",  # our tokens, cookies and one-time links
            r"(?<=whsec_)[A-Za-z0-9+/=]{8,}",  # the keys that webhooks are signed with
            r"(?i:(?<=bearer )|(?<=basic ))[A-Za-z0-9._~+/=-]{8,}",
            r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",  # JSON Web Tokens: service accounts, OpenID
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
            r"(?<=::server:)[^\s\"'\\]+|(?<=::node:)[^\s\"'\\]+",  # join tokens of K3s and RKE2
            r"(?<=://)[^/\s:@\"']*:[^/\s@\"']+(?=@)",  # user:password@ in an URL
            r"(?i:(?<=password=)|(?<=token=)|(?<=secret=))[^\s&\"',}]+",
        )
    ),
    re.DOTALL,
)
_SECRET_NAMES = re.compile(
    r"(?i)(?:^|[_.-])(?:password|passwd|passphrase|secret|token|authorization|cookie|private_key|key_pem|kubeconfig"
    r"|secret_access_key|secret_key|totp_secret|recovery_codes?|code_verifier)$"
)


def mask_secrets(text: str) -> str:
    """The text with everything that looks like a credential replaced by ``***``."""
    return _SECRETS.sub(MASK, text)


def is_secret_name(name: str) -> bool:
    """Whether what carries this name (a member of a document, a field, a log parameter) is taken for a secret."""
    return _SECRET_NAMES.search(name) is not None


def _add_request_id(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    context = request_context()
    if context.request_id:
        event.setdefault("request_id", context.request_id)
    return event


def _mask_keys(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if key == "request" and hasattr(value, "path"):
            event[key] = (
                f"{getattr(value, 'method', '')} {value.path}"  # Django's own repr has the query, with all in it
            )
        elif value and isinstance(value, str) and is_secret_name(key):
            event[key] = MASK
    return event


def _mask_line(logger: Any, method: str, line: Any) -> Any:
    return mask_secrets(line) if isinstance(line, str) else line


_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _add_request_id,
    structlog.processors.format_exc_info,
    _mask_keys,
)


def build_logging(level: str, form: str) -> dict[str, Any]:
    """The ``logging`` configuration (dictConfig) of a process; also routes structlog through it."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=False) if form == "console" else structlog.processors.JSONRenderer()
    )
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [remove, renderer, _mask_line],
                "foreign_pre_chain": list(_SHARED),
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level.upper()},
        "loggers": {
            # One line a query, request or poll says nothing new at these levels.
            name: {"level": logging.WARNING}
            for name in (
                "django.db.backends",
                "asyncio",
                "urllib3",
                "kombu",
                "celery.worker.strategy",
                "celery.app.trace",
            )
        },
    }
