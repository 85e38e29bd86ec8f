"""Logs for tests: mixed traffic of a few accounts from a seed, with everything that a real log holds."""

import random
from collections.abc import Sequence
from contextlib import suppress

import orjson

from streams.log import LogRecord

START_MS = 1_750_000_000_000
MINUTE_MS = 60_000
TRACE = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
"""A header as an upstream system writes it."""


def payment(number: int, account: str, time_ms: int, **fields: object) -> bytes:
    """A payment; `fields` are added or replace."""
    event = {
        "event_id": f"p{number}",
        "type": "payment",
        "account_id": account,
        "time_ms": time_ms,
        "amount_minor": 1_200,
        "currency": "EUR",
        "method": "card",
    }
    return orjson.dumps({**event, **fields})


def label(number: int, judged: str, account: str, time_ms: int, verdict: str = "fraud") -> bytes:
    """A label as it stands in the log."""
    event = {
        "event_id": f"l{number}",
        "type": "label",
        "account_id": account,
        "time_ms": time_ms,
        "judged_event_id": judged,
        "label": verdict,
        "known_at_ms": time_ms,
        "source": "chargeback",
    }
    return orjson.dumps(event | ({"fraud_type": "card_not_present"} if verdict == "fraud" else {}))


def model_marker(number: int, model_id: str, time_ms: int) -> bytes:
    """A record that puts a model in force."""
    marker = {"event_id": f"m{number}", "type": "marker", "time_ms": time_ms, "marker": "model", "value": model_id}
    return orjson.dumps(marker)


def breaker_marker(number: int, in_force: str, time_ms: int) -> bytes:
    """A record that opens or closes the breaker."""
    marker = {"event_id": f"b{number}", "type": "marker", "time_ms": time_ms, "marker": "breaker", "value": in_force}
    return orjson.dumps(marker)


def entities_marker(number: int, visible: int, time_ms: int) -> bytes:
    """A record that makes profiles of entities visible."""
    marker = {"event_id": f"e{number}", "type": "marker", "time_ms": time_ms, "marker": "entities"}
    return orjson.dumps(marker | {"value": str(visible)})


def with_breaker(
    log: Sequence[bytes],
    seed: int,
    share: float = 0.02,
    choices: Sequence[str] = ("step_up", "step_up", "closed", "no_such_action"),
) -> list[bytes]:
    """The log with breaker markers put into it: some repeat what is in force, some ask for what no engine knows."""
    source = random.Random(seed)
    result: list[bytes] = []
    time_ms = START_MS
    for number, value in enumerate(log):
        result.append(value)
        with suppress(orjson.JSONDecodeError, KeyError, TypeError):
            time_ms = max(time_ms, orjson.loads(value)["time_ms"])
        if source.random() < share:
            result.append(breaker_marker(number, source.choice(choices), time_ms))
    return result


def mixed_log(length: int, seed: int, accounts: int = 12, model_ids: tuple[str, ...] = ()) -> list[bytes]:
    """Payments, logins, profile changes, applications, late events, duplicates, conflicts, labels, rubbish, markers."""
    source = random.Random(seed)
    log: list[bytes] = []
    sent: list[tuple[str, str, bytes]] = []
    time_ms = START_MS
    for number in range(length):
        time_ms += source.choice((0, 1, 900, 40_000, 7 * MINUTE_MS))
        account = f"a{min(source.randrange(accounts), source.randrange(accounts))}"
        late_ms = source.choice((0,) * 12 + (1, 3_000, 5 * MINUTE_MS))
        draw = source.random()
        if draw < 0.04 and sent:
            _, _, value = source.choice(sent[-40:])
            log.append(value)
        elif draw < 0.05 and sent:
            event_id, owner, _ = source.choice(sent[-20:])
            log.append(payment(0, owner, time_ms, event_id=event_id, amount_minor=7))
        elif draw < 0.08:
            log.append(
                source.choice((b"", b"not json", b'{"type":"payment"}', b"[]", b'{"type":"login","time_ms":-1}'))
            )
        elif draw < 0.14 and sent:
            event_id, owner, _ = source.choice([*sent[-60:], ("p-never-seen", account, b"")])
            log.append(label(number, event_id, owner, time_ms, source.choice(("fraud", "fraud", "legit"))))
        elif draw < 0.15 and model_ids:
            log.append(model_marker(number, source.choice(model_ids), time_ms))
        else:
            value = _event(source, number, account, time_ms - late_ms)
            log.append(value)
            sent.append((orjson.loads(value)["event_id"], account, value))
    return log


def _event(source: random.Random, number: int, account: str, time_ms: int) -> bytes:
    device = f"{account}-d{source.choice((1, 1, 1, 2, source.randrange(9)))}"
    kind = source.random()
    if kind < 0.15:
        login = {
            "event_id": f"s{number}",
            "type": "login",
            "account_id": account,
            "time_ms": time_ms,
            "device_id": device,
            "success": source.random() < 0.8,
        }
        return orjson.dumps(login)
    if kind < 0.19:
        change = {"event_id": f"c{number}", "type": "profile_change", "account_id": account, "time_ms": time_ms}
        return orjson.dumps(change | {"field": "password", "device_id": device})
    if kind < 0.21:
        application = {"event_id": f"o{number}", "type": "application", "account_id": account, "time_ms": time_ms}
        return orjson.dumps(application | {"requested_minor": 50_000, "currency": "EUR"})
    place = {"lat": round(source.uniform(48, 52), 3), "lon": round(source.uniform(2, 13), 3)}
    return payment(
        number,
        account,
        time_ms,
        amount_minor=int(source.lognormvariate(7.5, 1.4)),
        currency=source.choice(("EUR", "EUR", "JPY", "KWD")),
        merchant_id=f"m{source.randrange(20)}",
        device_id=device,
        ip=f"10.0.{source.randrange(3)}.{source.randrange(9)}",
        country=source.choice(("DE", "DE", "FR", "JP")),
        channel=source.choice(("ecom", "pos")),
        authorization=source.choice(("approved", "approved", "declined")),
        **(place if source.random() < 0.3 else {}),
    )


def records(log: list[bytes]) -> list[LogRecord]:
    """The log with offsets."""
    return [LogRecord(offset, value) for offset, value in enumerate(log)]


def keyed(log: Sequence[bytes], partitions: int = 2) -> list[tuple[bytes | None, bytes, int]]:
    """Records with key and partition by account, as a producer would send them; what has no account goes anywhere."""
    result: list[tuple[bytes | None, bytes, int]] = []
    for number, value in enumerate(log):
        try:
            account = orjson.loads(value)["account_id"].encode()
            result.append((account, value, sum(account) % partitions))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            result.append((b"?", value, number % partitions))
    return result
