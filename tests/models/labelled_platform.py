"""A platform whose labels are known: verdicts of each day, frauds among them, and the day on which each is told."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import md5

import numpy as np

from models.decision import OUTCOMES
from models.label_book import DAY_MS
from models.label_watch import WAIT_MS
from models.summary import Counts, Summary
from models.telemetry_log import LabelSeen, Tick

HORIZON_DAYS = 30
VERDICTS = (9_700, 160, 80, 60)
EXPECTED_FRAUDS = 60.0
"""What the scores of a day add up to."""
_CAUGHT = (0.2, 0.2, 0.3, 0.3)


@dataclass
class Platform:
    """Frauds of each day by a Poisson draw, their labels after a geometric number of days.

    Attributes:
        seed: of everything that is drawn.
        days: how many.
        frauds_per_expected: frauds for each that the scores expect, by the day from which on it holds.
        silent_from: day from which on no label comes.
        judged: by day of the event, decision and whether it was fraud, as they were drawn.
    """

    seed: int
    days: int
    frauds_per_expected: dict[int, float] = field(default_factory=lambda: {0: 1.0})
    silent_from: int = 10**9
    judged: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))

    def log(self) -> Iterator[tuple[int, list[Summary | LabelSeen | Tick]]]:
        """Records of the telemetry log day by day; the tick that ends each is of the day after, when it is judged."""
        random, due = np.random.default_rng(self.seed), defaultdict[int, list[LabelSeen]](list)
        for day in range(self.days):
            factor = self.frauds_per_expected[max(begin for begin in self.frauds_per_expected if begin <= day)]
            for number in range(int(random.poisson(EXPECTED_FRAUDS * factor))):
                delay = int(random.geometric(0.12)) - 1
                decision = OUTCOMES[int(random.choice(4, p=_CAUGHT))]
                self.judged[day].append(decision)
                if delay <= HORIZON_DAYS and day + delay < self.silent_from:
                    due[day + delay].append(seen(f"{day} {number}", day, day + delay, decision))
            due[day].append(seen(f"{day} legit", day, day, "decline", is_fraud=False))
            yield day, [self._summary(day), *due.pop(day), Tick((day + 1) * DAY_MS + WAIT_MS)]

    def _summary(self, day: int) -> Summary:
        counts = Counts(published=VERDICTS, decisions=VERDICTS, score_sum_micro=int(EXPECTED_FRAUDS * 1e6))
        return Summary(partition=0, number=day, time_ms=day * DAY_MS + 7, model="m", counts=counts)


def seen(event: str, day: int, known_day: int, decision: str, *, is_fraud: bool = True) -> LabelSeen:
    """A label of an event of a day, known in the course of another one."""
    name = md5(event.encode()).hexdigest()
    return LabelSeen(
        event=name,
        time_ms=day * DAY_MS + 1_000,
        known_at_ms=known_day * DAY_MS + 2_000,
        label=name,
        is_fraud=is_fraud,
        decision=decision,  # type: ignore[arg-type]
    )
