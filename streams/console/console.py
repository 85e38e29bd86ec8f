"""The console as one object: what is in force, the picture, the lanes of work, and who may act."""

import time

from aiohttp import web

from features.errors import AssayError
from streams.config import Config
from streams.console.access import Access, is_this_machine, own_names, tokens_of
from streams.console.audit import AuditRecord, audit_json
from streams.console.desk import Desk
from streams.console.feeder import Feeder
from streams.console.jobs import Jobs
from streams.console.pages import Pages
from streams.console.picture import Picture
from streams.console.shelf import ModelShelf
from streams.kafka_clients import connection
from streams.publisher import Message
from streams.sender import Sender

LANES = ("look", "redrive", "replay")
"""Lanes of work: looking back is not to wait for a replay."""


class Console:
    """Everything that pages share.

    Args:
        config: settings in force.

    Raises:
        AssayError: a setting is wrong, or the first model is missing.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.prefix = config.text("topics.prefix")
        tokens = tokens_of(config.secret("console.token"))
        address = config.text("console.address")
        self.reads_are_open = is_this_machine(address) or config.flag("console.open_reading")
        if not self.reads_are_open and not tokens:
            raise AssayError(
                f"console.address {address} can be reached from other machines: set console.token (or its file), "
                "so that people can log in, or console.open_reading if everybody there may read"
            )
        self.names = own_names(address, config.text("console.hosts"))
        self.access = Access(tokens, time.monotonic)
        self.picture = Picture(config.whole("console.verdicts"))
        self.shelf = ModelShelf(config)
        self.jobs = Jobs(LANES)
        self.desks = {lane: Desk(config) for lane in LANES}
        self.pages = Pages()
        settings = connection(config)
        self.sender = Sender(settings)
        self.feeder = Feeder(config, settings, self.picture)

    def tell(self, record: AuditRecord) -> None:
        """Write a record into the audit topic; it is in the picture at once.

        Raises:
            AssayError: the brokers did not take it.
        """
        value = audit_json(record)
        self.sender.send(Message(f"{self.prefix}audit", 0, record.id.encode(), value, None))

    async def start(self, _app: web.Application) -> None:
        """Begin to follow topics."""
        self.feeder.start()

    async def stop(self, _app: web.Application) -> None:
        """End everything."""
        await self.feeder.stop()
        self.jobs.close()
        for desk in self.desks.values():
            desk.close()


CONSOLE = web.AppKey("console", Console)


def console_of(request: web.Request) -> Console:
    """The console that serves a request."""
    return request.app[CONSOLE]


def now_ms() -> int:
    """Wall clock, epoch milliseconds."""
    return time.time_ns() // 1_000_000
