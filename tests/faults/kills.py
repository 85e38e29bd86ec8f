"""The kill campaign: workers are killed at moments drawn from a seed, again and again, while events keep coming."""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.faults.campaign import Campaign, Judgement, campaign
from tests.faults.fork_server import ForkServer
from tests.faults.truth import DEAD_LETTER, VERDICT, Differences

SLOTS = ("0", "1")
EVENTS_PER_BLOW = 120
FRESH_EVERY = 20
"""So often a killed worker comes back as a fresh process, with the two seconds of imports."""
SETTINGS = {
    "ASSAY_ENGINE_BATCH_EVENTS": "10",  # many small transactions: most kills fall into one
    "ASSAY_STATE_CHECKPOINT_SECONDS": "0.3",
    "ASSAY_KAFKA_SESSION_TIMEOUT_MS": "3000",
}


class Blow(NamedTuple):
    """One kill.

    Attributes:
        slots: whose, one after the other.
        how: SIGKILL, or now and then SIGTERM.
        after_s: so long after the first one's start: this finds it starting, joining, recovering.
        after_records: instead, when so many more records of each partition are committed: this finds it at work.
        pause_s: and so much later before each, because progress is only seen from outside.
    """

    slots: tuple[str, ...]
    how: signal.Signals
    after_s: float
    after_records: int
    pause_s: float


class KillReport(NamedTuple):
    """What a kill campaign found.

    Attributes:
        kills: workers that kill -9 ended.
        stops: workers that SIGTERM ended.
        judgement: at the end.
        starts: lives of workers.
        killed_before_owning: ended before they had a partition.
        folded_again: lives that found a state older than what was published.
        longest_recovery_s: from a start until every partition went on.
        ended_by_themselves: lives that no signal ended, by reason.
        seed: of the campaign.
    """

    kills: int
    stops: int
    judgement: Judgement
    starts: int
    killed_before_owning: int
    folded_again: int
    longest_recovery_s: float
    ended_by_themselves: dict[str, int]
    seed: int

    def lines(self) -> list[str]:
        """For people."""
        judged = self.judgement
        wrong: Differences = judged.differences
        verdicts = sum(record.identity.kind == VERDICT for record in judged.got)
        dead_letters = sum(record.identity.kind == DEAD_LETTER for record in judged.got)
        watchdog = self.ended_by_themselves.get("watchdog", 0)
        return [
            f"seed                      {self.seed}",
            f"kills survived            {self.kills} (and {self.stops} orderly stops)",
            f"events                    {judged.events}",
            f"verdicts                  {verdicts}",
            f"dead letters              {dead_letters}",
            f"lost                      {wrong.lost + wrong.unanswered}",
            f"duplicates                {wrong.doubled}",
            f"differing bytes           {wrong.differing}",
            f"invented, out of order    {wrong.invented}, {wrong.disordered}",
            f"longest recovery          {self.longest_recovery_s:.1f} s",
            f"watchdog exits            {watchdog}",
            f"other exits by themselves {sum(self.ended_by_themselves.values()) - watchdog}",
            f"killed before it owned    {self.killed_before_owning} of {self.starts} starts",
            f"starts that folded again  {self.folded_again}",
            f"records aborted in flight {judged.aborted}",
        ]


def plan(kills: int, seed: int) -> list[Blow]:
    """Every kill of a campaign; nothing else is random.

    >>> plan(3, seed=1) == plan(3, seed=1) != plan(3, seed=2)
    True
    """
    source = random.Random(seed)
    blows: list[Blow] = []
    while (left := kills - sum(len(blow.slots) for blow in blows if blow.how is signal.SIGKILL)) > 0:
        early = source.random() < 0.55
        blows.append(
            Blow(
                slots=tuple(source.sample(SLOTS, k=min(left, source.choice((1, 2, 2))))),
                how=signal.SIGKILL if source.random() < 0.9 else signal.SIGTERM,
                after_s=source.uniform(0.0, 1.2),
                after_records=0 if early else source.randint(1, EVENTS_PER_BLOW // 2),
                pause_s=source.uniform(0.0, 0.05),
            )
        )
    return blows


def kill_campaign(
    bootstrap: str,
    prefix: str,
    directory: Path,
    fork_server: ForkServer,
    *,
    kills: int,
    seed: int,
    delivery: str = "exactly_once",
    progress: Callable[[int], None] = lambda _: None,
) -> KillReport:
    """Kill `kills` times, then let everything come to rest and judge; `progress` is told how many there were."""
    blows = plan(kills, seed)
    killed = stopped = before_owning = 0
    longest_s = 0.0
    with campaign(
        bootstrap, prefix, directory, fork_server=fork_server, seed=seed, slots=SLOTS,
        events=EVENTS_PER_BLOW * (len(blows) + 1), ASSAY_ENGINE_DELIVERY=delivery, **SETTINGS,
    ) as it:  # fmt: skip
        for slot in SLOTS:
            it.supervisor.start(slot)
        it.feed.send(EVENTS_PER_BLOW)
        it.wait_for(1)
        for number, blow in enumerate(blows, 1):
            it.feed.send(EVENTS_PER_BLOW)
            longest_s = max(longest_s, _await_moment(it, blow))
            for slot in blow.slots:
                time.sleep(blow.pause_s)
                run = it.supervisor.end(slot, blow.how)
                killed += run.poll() == -signal.SIGKILL
                stopped += run.poll() in (0, -signal.SIGTERM)
                before_owning += not run.take_overs()
                it.supervisor.start(slot, fresh=number % FRESH_EVERY == 0)
            progress(killed)
        judgement = it.finish(may_repeat=delivery == "at_least_once")
        runs = it.supervisor.runs
        return KillReport(
            kills=killed,
            stops=stopped,
            judgement=judgement,
            starts=len(runs),
            killed_before_owning=before_owning,
            folded_again=sum(any(each.folds_again for each in run.take_overs()) for run in runs),
            longest_recovery_s=longest_s,
            ended_by_themselves=dict(it.supervisor.ended_by_themselves),
            seed=seed,
        )


def _await_moment(it: Campaign, blow: Blow) -> float:
    """Wait for the moment of a blow; seconds from the last start until every partition went on, 0 if not waited for."""
    if blow.after_records == 0:
        time.sleep(max(0.0, it.supervisor.running[blow.slots[0]].started_s + blow.after_s - time.monotonic()))
        return 0.0
    it.wait_for(blow.after_records)
    return time.monotonic() - it.supervisor.runs[-1].started_s
