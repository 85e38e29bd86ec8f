"""The script of one attack: its events, written down step by step in the words of the contract."""

from dataclasses import dataclass, field

from streams.simulator import geography, population, rows
from streams.simulator.attacks.stage import Hands, Stage
from streams.simulator.merchants import CASH_MACHINE
from streams.simulator.money import CITY_CURRENCY


@dataclass(slots=True)
class Script:
    """The events of one attack, as they are written down.

    Attributes:
        attack: index of `rows.ATTACK_NAMES`.
        number: tells the instances of an attack apart.
        fraudulent: payments of it so far that are fraud themselves.
    """

    stage: Stage
    attack: int
    number: int
    events: list[dict[str, float]] = field(default_factory=list)
    fraudulent: int = 0

    def buy(
        self,
        account: int,
        at_ms: float,
        merchant: int,
        cents: float,
        hands: Hands,
        fraud_type: int,
        *,
        method: int = rows.CARD,
        declined: float = 0.0,
        email: int = -1,
        card: int = 0,
        innocent: bool = False,
    ) -> bool:
        """A payment at a merchant; returns whether it was approved. In a shop the hands' device does not show.

        Args:
            account, at_ms, merchant, cents, hands: who is charged, when, where, how much, by whom.
            fraud_type: index of `rows.FRAUD_TYPES`, -1 for none.
            method: `rows.CARD` or `rows.BNPL`.
            declined: probability that the issuer refuses.
            email: code of the address given, -1 for none.
            card: which card of the account.
            innocent: a payment of the victim's own, not a part of the attack.
        """
        stage = self.stage
        online = bool(stage.merchants.online[merchant])
        cash = not online and stage.merchants.category[merchant] == CASH_MACHINE
        channel = (rows.APP if stage.chance(0.3) else rows.ECOM) if online else rows.ATM if cash else rows.POS
        event: dict[str, float] = {
            "merchant": merchant,
            "method": method,
            "channel": channel,
            "country": int(stage.merchants.country[merchant]),
            "cents": cents,
            "currency": int(CITY_CURRENCY[stage.people.city[account]]),
            "email": email if online and stage.chance(0.7) else -1,
        }
        if method == rows.CARD:
            event["card"] = account * population.CARDS + min(card, int(stage.people.cards[account]) - 1)
        refused = stage.chance(declined)
        event["authorization"] = rows.DECLINED if refused else -1 if stage.chance(0.04) else rows.APPROVED
        if not online or (channel == rows.APP and stage.chance(0.6)):
            event["latitude"] = geography.CITY_LATITUDE[hands.city] + 0.05 * stage.rng.standard_normal()
            event["longitude"] = geography.CITY_LONGITUDE[hands.city] + 0.07 * stage.rng.standard_normal()
        if online:
            event |= {"device": hands.device, "ip": hands.ip, **self._summary(account, hands, 0.45)}
        self._add(rows.PAYMENT, account, at_ms, event, -1 if innocent else fraud_type, innocent=innocent)
        return not refused

    def send(
        self,
        account: int,
        at_ms: float,
        beneficiary: int,
        cents: float,
        hands: Hands,
        fraud_type: int,
        *,
        method: int = rows.TRANSFER,
    ) -> None:
        """Money sent to another account of the platform or to a beneficiary outside."""
        stage = self.stage
        event: dict[str, float] = {
            "beneficiary": beneficiary,
            "method": method,
            "channel": rows.APP,
            "cents": cents,
            "currency": int(CITY_CURRENCY[stage.people.city[account]]),
            "authorization": -1 if stage.chance(0.6) else rows.APPROVED,
            "device": hands.device,
            "ip": hands.ip,
            **self._summary(account, hands, 0.45),
        }
        if stage.chance(0.6):
            event["latitude"] = geography.CITY_LATITUDE[hands.city] + 0.05 * stage.rng.standard_normal()
            event["longitude"] = geography.CITY_LONGITUDE[hands.city] + 0.07 * stage.rng.standard_normal()
        self._add(rows.PAYMENT, account, at_ms, event, fraud_type)

    def log_in(self, account: int, at_ms: float, hands: Hands, *, success: bool = True) -> None:
        """A login; only a successful one can carry a session summary."""
        method = int(self.stage.people.login_method[account]) if success else rows.PASSWORD
        event: dict[str, float] = {
            "device": hands.device,
            "ip": hands.ip,
            "country": int(geography.CITY_COUNTRY[hands.city]),
            "success": int(success),
            "login_method": method,
        }
        if success:
            event |= self._summary(account, hands, 0.8)
        self._add(rows.LOGIN, account, at_ms, event)

    def change(self, account: int, at_ms: float, name: str, hands: Hands) -> None:
        """A change of the profile field of this name."""
        event: dict[str, float] = {"field": rows.FIELDS.index(name), "device": hands.device, "ip": hands.ip}
        self._add(rows.PROFILE_CHANGE, account, at_ms, event)

    def apply(self, account: int, at_ms: float, cents: float, hands: Hands, fraud_type: int, **codes: int) -> None:
        """An application for the account; `codes` are `email`, `phone`, `address` and `identity`."""
        event: dict[str, float] = {
            "cents": cents,
            "currency": int(CITY_CURRENCY[self.stage.people.city[account]]),
            "device": hands.device,
            "ip": hands.ip,
            **codes,
            **self._summary(account, hands, 1.0),
        }
        self._add(rows.APPLICATION, account, at_ms, event, fraud_type)

    def _summary(self, account: int, hands: Hands, share: float) -> dict[str, float]:
        if self.stage.people.has_telemetry[account] and self.stage.chance(share):
            return {"typist": hands.typist, "manner": hands.manner}
        return {}

    def _add(
        self,
        kind: int,
        account: int,
        at_ms: float,
        event: dict[str, float],
        fraud_type: int = -1,
        *,
        innocent: bool = False,
    ) -> None:
        opened_ms = int(self.stage.people.opened_ms[account])
        fixed = {"kind": kind, "account": account, "time_ms": max(int(at_ms), opened_ms), "fraud_type": fraud_type}
        attack = rows.NONE if innocent else self.attack
        self.events.append(event | fixed | {"attack": attack, "attack_number": 0 if innocent else self.number})
        self.fraudulent += kind == rows.PAYMENT and fraud_type >= 0
