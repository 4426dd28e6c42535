"""Log lines: structured, with the request id, and cleaned of what looks like a credential."""

import io
import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from hub.core.logs import build_logging, mask_secrets
from hub.core.requests import bind_request

CANARY = "c4n4ryc4n4ryc4n4ry"
JWT = f"eyJhbGciOiJSUzI1NiJ9.eyJzdWIi{CANARY}.c2lnbmF0dXJl"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What a process with this logging would print; the usual configuration is back afterwards."""
    stream = io.StringIO()
    configuration = build_logging("debug", "json")
    formatter = logging.config.DictConfigurator(configuration).configure_formatter(configuration["formatters"]["line"])
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.getLogger("test.logs")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield stream
    logger.removeHandler(handler)
    logger.propagate = True


def last(stream: io.StringIO) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(stream.getvalue().splitlines()[-1])
    return entry


def test_a_line_is_json_with_level_logger_time_and_request_id(lines: io.StringIO) -> None:
    with bind_request("req-7"):
        logging.getLogger("test.logs").warning("pump %s stopped", "p1", extra={"speed": 3})
    entry = last(lines)
    assert entry["event"] == "pump p1 stopped"
    assert (entry["level"], entry["logger"], entry["request_id"], entry["speed"]) == (
        "warning",
        "test.logs",
        "req-7",
        3,
    )
    assert entry["timestamp"].endswith("Z")


def test_structlog_writes_the_same_lines(lines: io.StringIO) -> None:
    structlog.stdlib.get_logger("test.logs").info("pump_stopped", speed=3)
    assert (last(lines)["event"], last(lines)["speed"]) == ("pump_stopped", 3)


def test_a_traceback_stays_in_its_line(lines: io.StringIO) -> None:
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError:
        logging.getLogger("test.logs").exception("broke")
    assert len(lines.getvalue().splitlines()) == 1
    assert "ZeroDivisionError: by zero" in last(lines)["exception"]


@pytest.mark.parametrize(
    "text",
    [
        f"token pdk_ab12cd34_{CANARY}-{CANARY}",
        f"Authorization: Bearer {CANARY}",
        f"authorization: basic {CANARY}==",
        f"used {JWT} to log in",
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----",
        f"-----BEGIN EC PRIVATE KEY-----\\n{CANARY} cut off",
        f"K10abcdef::server:{CANARY}",
        f"K10abcdef::node:{CANARY}",
        f"postgresql://paddock:{CANARY}@db:5432/paddock",
        f"redis://:{CANARY}@cache/0",
        f"connection password={CANARY} host=db",
        f"GET /login?token={CANARY}&x=1",
    ],
)
def test_sec04_what_looks_like_a_credential_does_not_reach_a_line(text: str, lines: io.StringIO) -> None:
    logging.getLogger("test.logs").error(text)
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("test.logs").exception("broke")
    assert CANARY not in lines.getvalue()
    assert "***" in lines.getvalue()


@pytest.mark.parametrize("key", ["password", "api_token", "Authorization", "kubeconfig", "server_key_pem"])
def test_sec04_a_field_named_like_a_secret_is_masked(key: str, lines: io.StringIO) -> None:
    structlog.stdlib.get_logger("test.logs").info("login", **{key: CANARY})
    assert last(lines)[key] == "***"


@pytest.mark.parametrize(
    "text",
    [
        "https://hub.example.com:8443/api",
        "pump p1 stopped at 10:00",
        "the token of user anna has expired",
        "a@b.example",
    ],
)
def test_plain_text_is_left_as_it_is(text: str) -> None:
    assert mask_secrets(text) == text
