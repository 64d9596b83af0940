"""One session of the brokerage stream: its login and its topics.

Documented: a login with ``client_id`` and ``client_secret``, topics, and one session per credential pair. Assumed:
every other word of it.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, cast

from connecttrade_async.sandbox.dialect.streams import BrokerageForms
from connecttrade_async.sandbox.errors import UnauthorizedError
from connecttrade_async.sandbox.parameters import Fields
from connecttrade_async.sandbox.settings import Credentials
from connecttrade_async.sandbox.streams.encoding import KINDS
from connecttrade_async.sandbox.streams.session import SessionHost, StreamSession, id_of
from connecttrade_async.sandbox.streams.websocket import SandboxWebSocket

__all__ = ["BrokerageSession", "BrokerageSessionHost"]


class BrokerageSessionHost(SessionHost["BrokerageSession"], Protocol):
    """The part of the brokerage stream that its sessions use."""

    credentials: Credentials

    @property
    def forms(self) -> BrokerageForms:
        """The dialect of the stream."""
        ...


class BrokerageSession(StreamSession[BrokerageSessionHost]):
    """One session of the brokerage stream.

    Attributes:
        topics: what it subscribed to.
    """

    NAME = "brokerage data stream"
    STRANGER = "The client_id or the client_secret is wrong."

    def __init__(self, link: SandboxWebSocket, stream: BrokerageSessionHost) -> None:
        super().__init__(link, stream)
        self.topics: set[str] = set()

    @property
    def is_live(self) -> bool:
        """Whether it is authenticated, subscribed to something, and not over."""
        return self.phase == "authenticated" and bool(self.topics) and self.link.is_open

    def _action_handlers(self) -> Mapping[str, Callable[[Fields], None]]:
        return {"subscribe": self._subscribe, "unsubscribe": self._unsubscribe}

    def _recognize(self, members: Fields) -> str:
        if not self._stream.credentials.are(members.get("client_id"), members.get("client_secret")):
            raise UnauthorizedError(self.STRANGER)
        return ""

    def _wants(self, topics: tuple[object, ...]) -> bool:
        return not self.topics.isdisjoint(cast("tuple[str, ...]", topics))

    def _subscribe(self, members: Fields) -> None:
        self._choose(members, "subscribed", self.topics.update)

    def _unsubscribe(self, members: Fields) -> None:
        self._choose(members, "unsubscribed", self.topics.difference_update)

    def _choose(self, members: Fields, answer: str, change: Callable[[list[str]], None]) -> None:
        topics = members.get("topics")
        found = cast("list[object]", topics) if isinstance(topics, list) else []
        names = [name for name in found if isinstance(name, str) and name in KINDS]
        if not names or len(names) < len(found):
            self._error(400, f"topics must be some of {', '.join(KINDS)}.", **id_of(members))
            return
        style = self._stream.forms.messages.acknowledges
        if style == "first":
            names = names[:1]
        was_live = self.is_live
        self._stream.publish_due()
        change(names)
        named = [names]
        if style == "each":
            named = [[name] for name in names]
        elif style == "held" and answer == "subscribed":
            named = [sorted(self.topics)]
        is_answered = all(
            self._answer(answer, **id_of(members), topics=part, topic=part[0] if len(part) == 1 else None)
            for part in named
        )
        if is_answered and self.is_live and not was_live:
            self._stream.log.count_life()
            self._stream.publish_due()  # the ticker runs only while a session is live: start it
