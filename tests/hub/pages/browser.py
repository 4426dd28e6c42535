"""A browser as the tests see it: keeps cookies, sends forms with what is hidden in them, follows nothing by itself."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from django.test import Client

HOST = "testserver"
ORIGIN = f"https://{HOST}"


@dataclass
class Form:
    """One form with the values that its inputs have."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._within: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.elements.append((tag, values))
        self._within.append(tag)
        if tag == "form":
            self.forms.append(Form(values.get("action") or ""))
        elif tag == "input" and self.forms and values.get("name"):
            self.forms[-1].fields[str(values["name"])] = values.get("value") or ""

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(" ".join(data.split()))


class Page:
    """What came back."""

    def __init__(self, path: str, response: Any) -> None:
        self.path = path
        self.response = response
        self.status = int(response.status_code)
        reader = _Reader()
        if response.get("Content-Type", "").startswith("text/html"):
            reader.feed(response.content.decode())
        self.elements = reader.elements
        self.words = reader.words
        self._forms = reader.forms

    @property
    def target(self) -> str:
        """Where a redirect leads."""
        assert self.status == 303, (self.status, self.words)
        return str(self.response["Location"])

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def form(self, action: str) -> Form:
        """The form of this page that is sent to the address."""
        return next(form for form in self._forms if (form.action or self.path) == action)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of the elements of this name."""
        return [values for name, values in self.elements if name == tag]


@dataclass
class Browser:
    """Sends what a browser sends for a page of the hub; ``headers`` go with each request."""

    headers: dict[str, str] = field(default_factory=dict)
    client: Client = field(default_factory=Client)
    peer: str = "192.0.2.7"

    def get(self, address: str) -> Page:
        response = self.client.get(address, headers=self.headers, secure=True, REMOTE_ADDR=self.peer)
        return Page(urlsplit(address).path, response)

    def post(self, address: str, fields: dict[str, str], **headers: str) -> Page:
        sent = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin", **self.headers, **headers}
        response = self.client.post(address, fields, headers=sent, secure=True, REMOTE_ADDR=self.peer)
        return Page(urlsplit(address).path, response)

    def submit(self, page: Page, action: str, **fields: str) -> Page:
        """Sends the page's form with these values in it."""
        return self.post(action, {**page.form(action).fields, **fields})

    def log_in(self, username: str, password: str, return_to: str = "/account") -> Page:
        """Sends the login form; where it leads is the answer's ``target``."""
        page = self.get(f"/login?return_to={return_to}")
        return self.submit(page, "/login", username=username, password=password)

    def cookie(self, name: str) -> str:
        """The value that the browser would send; "" without one."""
        morsel = self.client.cookies.get(name)
        return morsel.value if morsel is not None else ""
