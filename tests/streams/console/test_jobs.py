"""Work beside the pages: one after another in a lane, the same question once, cancelled when nobody wants it."""

import threading
from collections.abc import Iterator

import pytest

from features.errors import AssayError
from streams.console.jobs import MOST_KEPT, MOST_WAITING, Jobs, Report

SOON_S = 30.0


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    made = Jobs(("one", "other"))
    yield made
    made.close()


def waits_for(event: threading.Event, running: threading.Event):  # type: ignore[no-untyped-def]
    def work(report: Report) -> str:
        running.set()
        while not event.wait(0.01):
            report(1, 1, 10)
        return "done"

    return work


def test_the_same_question_is_one_job_until_its_answer_is_old(jobs: Jobs) -> None:
    asked = []
    first = jobs.start("one", "key", "title", lambda _: asked.append(1), fresh_s=60.0)
    first.settle(SOON_S)
    assert jobs.start("one", "key", "title", lambda _: asked.append(2), fresh_s=60.0) is first
    again = jobs.start("one", "key", "title", lambda _: asked.append(3), fresh_s=0.0)
    again.settle(SOON_S)
    assert asked == [1, 3]


def test_a_lane_does_one_thing_at_a_time_and_lanes_do_not_wait_for_each_other(jobs: Jobs) -> None:
    go, running = threading.Event(), threading.Event()
    first = jobs.start("one", 1, "t", waits_for(go, running), fresh_s=0.0)
    assert running.wait(SOON_S)
    second = jobs.start("one", 2, "t", lambda _: "second", fresh_s=0.0)
    other = jobs.start("other", 3, "t", lambda _: "other", fresh_s=0.0)
    other.settle(SOON_S)
    assert (first.state, second.state, other.state) == ("running", "waiting", "done")
    go.set()
    second.settle(SOON_S)
    assert (first.result, second.result) == ("done", "second")


def test_cancelled_work_ends_at_its_next_report(jobs: Jobs) -> None:
    running = threading.Event()
    job = jobs.start("one", 1, "t", waits_for(threading.Event(), running), fresh_s=0.0)
    assert running.wait(SOON_S)
    assert job.share in (None, 0.1)
    job.cancel()
    job.settle(SOON_S)
    assert job.state == "cancelled"


def test_faults_are_told_and_our_own_mistakes_name_no_content(jobs: Jobs) -> None:
    def outside(_: Report) -> None:
        raise AssayError("no broker")

    def ours(_: Report) -> None:
        raise ValueError("4111111111111111")

    told, mistake = (jobs.start("one", work, "t", work, fresh_s=0.0) for work in (outside, ours))
    mistake.settle(SOON_S)
    assert (told.state, told.error) == ("failed", "no broker")
    assert mistake.state == "failed"
    assert "4111" not in mistake.error


def test_questions_and_answers_are_bounded(jobs: Jobs) -> None:
    go, running = threading.Event(), threading.Event()
    for key in range(MOST_WAITING):
        jobs.start("one", key, "t", waits_for(go, running), fresh_s=0.0)
    with pytest.raises(AssayError, match="wait already"):
        jobs.start("other", "more", "t", lambda _: None, fresh_s=0.0)
    go.set()
    for key in range(MOST_WAITING):
        job = jobs.get(key)
        assert job is not None
        job.settle(SOON_S)
    for key in range(100, 100 + 2 * MOST_KEPT):
        jobs.start("one", key, "t", lambda _: None, fresh_s=0.0).settle(SOON_S)
    assert sum(jobs.get(key) is not None for key in range(100, 100 + 2 * MOST_KEPT)) <= MOST_KEPT
