"""The front door: a person at the sandbox's login pages, for the demo. Reads forms, fills them in, follows links.

It is no client of the API: it does with plain HTTP and HTML what a browser would do with these few pages.
"""

from __future__ import annotations

import asyncio
from html.parser import HTMLParser
from http import HTTPStatus
from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

__all__ = ["Form", "Page", "Visitor"]

MOST_REDIRECTS = 5


class Form(NamedTuple):
    """One form of a page.

    Attributes:
        action: where it is sent to.
        method: ``get`` or ``post``.
        fields: what it says before anybody touches it.
        choices: what each of its radio buttons and its other buttons may say, by name.
    """

    action: str
    method: str
    fields: dict[str, str]
    choices: dict[str, list[str]]


class Page(NamedTuple):
    """What the browser shows.

    Attributes:
        url: its address.
        title: its heading.
        text: its words.
        forms: its forms.
    """

    url: str
    title: str
    text: str
    forms: list[Form]


class Visitor:
    """A person with a browser that shows pages of one host, and stops where it is sent elsewhere."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).netloc
        self._first = url

    async def arrive(self) -> Page:
        """Open the address that the person was given."""
        page = await asyncio.to_thread(self._follow, "GET", self._first, "")
        if isinstance(page, str):
            msg = f"the login pages begin elsewhere, at {page}"
            raise OSError(msg)
        return page

    async def submit(self, page: Page, **answers: str) -> Page | str:
        """Fill in the page's first form and send it.

        Returns:
            The next page; or, as text, the address of another host to which the browser is sent.

        Raises:
            OSError: the page is not what a person expects to see here.
        """
        form = page.forms[0]
        sent = urlencode({**form.fields, **answers})
        target = urljoin(page.url, form.action)
        if form.method == "get":
            return await asyncio.to_thread(self._follow, "GET", f"{target}?{sent}", "")
        return await asyncio.to_thread(self._follow, "POST", target, sent)

    def _follow(self, method: str, url: str, body: str) -> Page | str:
        for _ in range(MOST_REDIRECTS):
            if urlsplit(url).netloc != self._host:
                return url
            status, location, text = self._exchange(method, url, body)
            if not location:
                break
            method, url, body = "GET", urljoin(url, location), ""
        else:
            status, text = 0, ""
        if status != HTTPStatus.OK:
            msg = f"the login page answered {status or 'with redirects only'}"
            raise OSError(msg)
        return _read(url, text)

    def _exchange(self, method: str, url: str, body: str) -> tuple[int, str, str]:
        parts = urlsplit(url)
        http = HTTPConnection(self._host, timeout=5)
        try:
            headers = {"content-type": "application/x-www-form-urlencoded"} if body else {}
            query = f"?{parts.query}" if parts.query else ""
            http.request(method, f"{parts.path}{query}", body.encode() or None, headers)
            reply = http.getresponse()
            return reply.status, reply.getheader("location", ""), reply.read().decode()
        finally:
            http.close()


def _read(url: str, text: str) -> Page:
    reader = _Reader()
    reader.feed(text)
    return Page(url, " ".join(reader.title), " ".join(reader.words), reader.forms)


class _Reader(HTMLParser):
    """Takes the heading, the words and the forms out of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.title: list[str] = []
        self.words: list[str] = []
        self.forms: list[Form] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(facts.get("action", ""), facts.get("method", "get").lower(), {}, {}))
        elif tag in {"input", "button"} and facts.get("name") and self.forms:
            self._field(tag, facts)
        if tag in {"h1", "style", "title"}:
            self._open.append(tag)

    def _field(self, tag: str, facts: dict[str, str]) -> None:
        form, name, value = self.forms[-1], facts["name"], facts.get("value", "")
        if tag == "button" or facts.get("type") == "radio":
            form.choices.setdefault(name, []).append(value)
            if tag == "button" or "checked" not in facts:
                return
        form.fields[name] = value

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        words = data.split()
        if not words or self._open[-1:] in (["style"], ["title"]):
            return
        (self.title if self._open else self.words).extend(words)
