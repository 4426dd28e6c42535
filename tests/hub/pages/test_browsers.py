"""What a browser is called."""

import pytest

from hub.pages.browsers import browser_name

MOZILLA = "Mozilla/5.0"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (f"{MOZILLA} (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox, Linux"),
        (f"{MOZILLA} (Windows NT 10.0; Win64; x64) {CHROME}", "Chrome, Windows"),
        (f"{MOZILLA} (Windows NT 10.0; Win64; x64) {CHROME} Edg/130.0", "Edge, Windows"),
        (f"{MOZILLA} (Linux; Android 15) {CHROME}", "Chrome, Android"),
        (f"{MOZILLA} (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1", "Safari, iOS"),
        (f"{MOZILLA} (Macintosh; Intel Mac OS X 10_15_7) Version/17 Safari/605.1.15", "Safari, macOS"),
        ("curl/8.0", "curl"),
        ("", ""),
        ("x" * 100, "x" * 60),
    ],
)
def test_a_browser_is_called_as_its_user_knows_it(agent: str, name: str) -> None:
    assert browser_name(agent) == name
