"""The kill campaign: workers are killed at moments drawn from a seed, again and again, while events keep coming."""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.faults.campaign import Campaign, Judgement, campaign
from tests.faults.fork_server import ForkServer
from tests.faults.truth import VERDICT, DEAD_LETTER, Differences

SLOTS = ("0", "1")
EVENTS_PER_KILL = 120
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
        slot: whose.
        how: SIGKILL, or now and then SIGTERM.
        after_s: so long after the worker's start: this finds it starting, joining, recovering.
        after_records: so many records after its start instead: this finds it at work. 0: `after_s` counts.
        pause_s: and so much later, because progress is only seen from outside.
    """

    slot: str
    how: signal.Signals
    after_s: float
    after_records: int
    pause_s: float


class KillReport(NamedTuple):
    """What a kill campaign found."""

    kills: int
    terms: int
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
            f"kills survived            {self.kills} (and {self.terms} orderly stops)",
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
    while sum(blow.how is signal.SIGKILL for blow in blows) < kills:
        early = source.random() < 0.5
        blows.append(
            Blow(
                slot=source.choice(SLOTS),
                how=signal.SIGKILL if source.random() < 0.85 else signal.SIGTERM,
                after_s=source.uniform(0.0, 1.2),
                after_records=0 if early else source.randint(1, EVENTS_PER_KILL),
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
    progress: Callable[[int], None] = lambda _: None,
    **settings: str,
) -> KillReport:
    """Kill `kills` times, then let everything come to rest and judge; `progress` is told of each kill."""
    blows = plan(kills, seed)
    before_owning = 0
    longest_s = 0.0
    with campaign(
        bootstrap, prefix, directory, fork_server=fork_server, seed=seed, events=EVENTS_PER_KILL * (len(blows) + 1),
        slots=SLOTS, **{**SETTINGS, **settings},
    ) as it:  # fmt: skip
        for slot in SLOTS:
            it.supervisor.start(slot)
        it.feed.send(EVENTS_PER_KILL)
        it.wait_for(1)
        for number, blow in enumerate(blows, 1):
            it.feed.send(EVENTS_PER_KILL)
            longest_s = max(longest_s, _await_moment(it, blow))
            run = it.supervisor.end(blow.slot, blow.how)
            assert run.code in (-signal.SIGKILL, -signal.SIGTERM, 0), (run.code, run.said())
            before_owning += not run.take_overs()
            it.supervisor.start(blow.slot, fresh=number % FRESH_EVERY == 0)
            progress(number)
        judgement = it.finish()
        runs = it.supervisor.runs
        return KillReport(
            kills=kills,
            terms=len(blows) - kills,
            judgement=judgement,
            starts=len(runs),
            killed_before_owning=before_owning,
            folded_again=sum(any(each.folds_again for each in run.take_overs()) for run in runs),
            longest_recovery_s=longest_s,
            ended_by_themselves=dict(it.supervisor.ended_by_themselves),
            seed=seed,
        )


def _await_moment(it: Campaign, blow: Blow) -> float:
    """Wait for the moment of a blow; how long the worker took from its start to the records waited for, 0 if to none."""
    started_s = it.supervisor.running[blow.slot].started_s
    if blow.after_records == 0:
        time.sleep(max(0.0, started_s + blow.after_s - time.monotonic()))
        return 0.0
    it.wait_for(blow.after_records)
    recovery_s = time.monotonic() - it.supervisor.running[blow.slot].started_s
    time.sleep(blow.pause_s)
    return recovery_s
