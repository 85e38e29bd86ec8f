"""The shape of a record of the links topic: flushes as tables of columns, for whoever reads it without numpy.

`features.links` says what the columns mean to the engine; here they are named for the schema, in the same order.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=0)]
Hash64 = Annotated[int, Meta(ge=0, description="First 64 bits of a hash, 0 for none.")]
Kind = Annotated[int, Meta(ge=0, le=255, description="Index into the kinds of entities.")]


class FlushTable(Struct, frozen=True):
    """Flushes: what a stretch of the partition's log says, always the same however it was cut into batches.

    Attributes:
        flush: its number, counted by one from 0 within the partition; whoever has taken one may be given it again.
        end: offset of the record that closed it.
        time_ms: newest time of an event before that record, epoch milliseconds.
    """

    flush: list[Count]
    end: list[Count]
    time_ms: list[int]


class LinkTable(Struct, frozen=True):
    """Accounts and entities that their past did not hold, one row for each pair and flush.

    Attributes:
        flush: number of the flush.
        account: hash of the account's id.
        entity: hash of the entity.
        time_ms: newest event of the pair, epoch milliseconds.
        amount_minor: sum of its payments, minor units of the base currency.
        payments: how many.
        declined: of these, declined by the issuer.
        small: of these, below 200 minor units of the base currency.
        network: of an IP address the network, 0 if it has none.
        kind: of entity.
    """

    flush: list[Count]
    account: list[Hash64]
    entity: list[Hash64]
    time_ms: list[int]
    amount_minor: list[int]
    payments: list[Count]
    declined: list[Count]
    small: list[Count]
    network: list[Hash64]
    kind: list[Kind]


class VolumeTable(Struct, frozen=True):
    """Payments of entities, one row for each entity, parent and day of a flush.

    Attributes:
        flush: number of the flush.
        entity: hash of the entity.
        parent: of a merchant the hash of its category, else 0.
        payments: how many.
        day: of the payments' own time, days since 1970-01-01 UTC.
        kind: of entity.
    """

    flush: list[Count]
    entity: list[Hash64]
    parent: list[Hash64]
    payments: list[Count]
    day: list[int]
    kind: list[Kind]


class MarkTable(Struct, frozen=True):
    """Labels with the entities of the events that they judge, in the order of the log.

    Attributes:
        flush: number of the flush.
        account: hash of the account's id.
        event: hash of the id of the judged event.
        label: hash of the id of the label.
        known_at_ms: when the label was learnt, epoch milliseconds.
        event_time_ms: when the event happened, epoch milliseconds.
        device: hash of the event's device.
        ip: hash of its address.
        merchant: hash of its merchant.
        beneficiary: hash of its beneficiary.
        bin: the card's first digits.
        network: of its address.
        email_domain: hash of its e-mail domain.
        category: hash of the merchant's category.
        fraud: what the label says.
    """

    flush: list[Count]
    account: list[Hash64]
    event: list[Hash64]
    label: list[Hash64]
    known_at_ms: list[int]
    event_time_ms: list[int]
    device: list[Hash64]
    ip: list[Hash64]
    merchant: list[Hash64]
    beneficiary: list[Hash64]
    bin: list[Hash64]
    network: list[Hash64]
    email_domain: list[Hash64]
    category: list[Hash64]
    fraud: list[bool]


class FlushesRecord(Struct, frozen=True):
    """Some flushes of one partition, one after another. Columns of a table are equally long; empty tables are absent.

    Attributes:
        partition: of the events topic.
        flushes: the flushes themselves.
        links: new pairs of accounts and entities.
        volumes: payments of entities.
        marks: labels.
        schema: version of this shape.
    """

    partition: Count
    flushes: FlushTable
    schema: Literal[1]
    links: LinkTable | None = None
    volumes: VolumeTable | None = None
    marks: MarkTable | None = None
