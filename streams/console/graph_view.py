"""The entity graph around an event: its account, what the event touched, and who else met that. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from features.identity import hash64
from streams.account_view import hash_digits
from streams.console import words
from streams.console.link_book import Entity, LinkBook

MOST_ACCOUNTS: Final = 12
"""Other accounts drawn for each entity."""
KINDS: Final = {"device": "device_id", "ip": "ip", "beneficiary": "beneficiary_id"}
"""Kinds of entities that links are told of, and the field of an event that holds each."""
WIDTH, TOP = 720, 12
ENTITY_ROW, ACCOUNT_ROW = 62, 30
ACCOUNT_X, ENTITY_X, OTHER_X = 90, 320, 600


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the drawing."""

    x: float
    y: float
    text: str
    note: str
    css: str
    title: str


@dataclass(frozen=True, slots=True)
class Edge:
    """A line of the drawing, as a path."""

    path: str
    css: str


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another account that met an entity of the event."""

    entity: str
    account: str
    payments: int
    declined: int
    time: str
    is_fraud: bool


@dataclass(frozen=True, slots=True)
class GraphView:
    """What is shown.

    Attributes:
        nodes: account, entities, others, from left to right.
        edges: between them.
        neighbours: the same as a table.
        said: how many, in one sentence.
        height: of the drawing.
    """

    nodes: list[Node]
    edges: list[Edge]
    neighbours: list[Neighbour]
    said: str
    height: int
    width: int = WIDTH


def entities_of(event: Mapping[str, Any]) -> list[Entity]:
    """What an event touches that other accounts may touch too; fields as they are, not masked.

    >>> [entity.kind for entity in entities_of({"device_id": "d1", "merchant_id": "m1"})]
    ['device']
    """
    return [Entity(kind, hash64(str(event[name]))) for kind, name in KINDS.items() if event.get(name)]


def graph_view(
    book: LinkBook, account_id: str, entities: Sequence[Entity], names: Mapping[int, str]
) -> GraphView | None:
    """The graph; None if the event touches nothing that could be shared.

    Args:
        book: pairs of accounts and entities.
        account_id: of the event.
        entities: of the event.
        names: hash of an account's id to its id, of those that are known.
    """
    if not entities:
        return None
    own = hash64(account_id)
    met = [(entity, [pair for pair in book.accounts_of(entity) if pair.account != own]) for entity in entities]
    others = list(dict.fromkeys(pair.account for _, pairs in met for pair in pairs[:MOST_ACCOUNTS]))
    height = TOP + max(ENTITY_ROW * len(entities), ACCOUNT_ROW * len(others))
    places = {account: _spread(place, len(others), height) for place, account in enumerate(others)}
    middle = height / 2
    nodes = [Node(ACCOUNT_X, middle, _short(words.shown_id(account_id)), "this account", _css(book, own, "own"), "")]
    edges, neighbours = [], []
    for place, (entity, pairs) in enumerate(met):
        y = _spread(place, len(met), height)
        digits = hash_digits(entity.hashed) or ""
        note = f"{len(pairs)} other account{'' if len(pairs) == 1 else 's'}"
        nodes.append(Node(ENTITY_X, y, f"{entity.kind} {digits}", note, "entity", ""))
        edges.append(Edge(_curve(ACCOUNT_X, middle, ENTITY_X, y), "own"))
        for pair in pairs[:MOST_ACCOUNTS]:
            is_fraud = book.is_fraud(pair.account)
            edges.append(Edge(_curve(ENTITY_X, y, OTHER_X, places[pair.account]), "fraud" if is_fraud else ""))
            neighbours.append(
                Neighbour(
                    f"{entity.kind} {digits}",
                    _name(pair.account, names),
                    pair.payments,
                    pair.declined,
                    words.moment(pair.time_ms),
                    is_fraud,
                )
            )
    for account in others:
        name = _name(account, names)
        nodes.append(Node(OTHER_X, places[account], _short(name), "", _css(book, account, "other"), name))
    return GraphView(nodes, edges, neighbours, _said(book, others, entities), height)


def _said(book: LinkBook, others: Sequence[int], entities: Sequence[Entity]) -> str:
    kinds = ", ".join(dict.fromkeys(entity.kind for entity in entities))
    frauds = sum(book.is_fraud(account) for account in others)
    who = "one other account" if len(others) == 1 else f"{len(others) or 'no'} other accounts"
    fraud = f"; {frauds} of them with an event that is labelled fraud" if others else ""
    return (
        f"{who.capitalize()} met the same {kinds}{fraud}. Known are {len(book):,} pairs of an account and something "
        "that was new to it."
    )


def _spread(place: int, count: int, height: int) -> float:
    return round(TOP / 2 + (height - TOP / 2) * (place + 0.5) / max(1, count), 1)


def _curve(x1: float, y1: float, x2: float, y2: float) -> str:
    middle = (x1 + x2) / 2
    return f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"


def _css(book: LinkBook, account: int, css: str) -> str:
    return f"{css} fraud" if book.is_fraud(account) else css


def _name(account: int, names: Mapping[int, str]) -> str:
    known = names.get(account)
    return f"#{hash_digits(account)}" if known is None else words.shown_id(known)


def _short(text: str) -> str:
    return text if len(text) <= 18 else f"{text[:17]}…"
