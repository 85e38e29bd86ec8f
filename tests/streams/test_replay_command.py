"""`assay replay` as people run it: what it refuses, and end to end on a real broker beside a worker's traces."""

from pathlib import Path

import orjson
import pytest
from confluent_kafka import Consumer, TopicPartition

from models.model_store import ModelStore
from streams.broker import RunningBroker
from streams.topic_reader import TopicReader
from tests.streams.command_line import Finished, assay, fails_with
from tests.streams.logs import keyed, mixed_log
from tests.streams.scoring import rows
from tests.streams.small_model import small_model
from tests.streams.test_replay import HARSH
from tests.streams.test_worker import PARTITIONS, expected_of, of_topic, topics_of, total
from tests.streams.workers import environment, produce, read_all, stop, worker


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "--out"),
        (("--diff", "--diff-model", "x"), "choose one"),
        (("--out", "-", "--diff-out", "x"), "--diff"),
        (("--out", "-", "--all"), "--diff"),
        (("--out", "-", "--labels", "x"), "--diff"),
        (("--out", "-", "--run", "x"), "--topic"),
        (("--out", "-", "--feature-set", "a:b"), "--model"),
        (("--out", "-", "--diff", "--diff-out", "-"), "standard output"),
        (("--out", "-", "--from", "yesterday"), "--from"),
        (("--out", "-", "--to", "1h"), "--to"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], word: str) -> None:
    finished = assay("replay", *arguments)
    assert finished.code == 2
    assert word in finished.errors
    assert "Traceback" not in finished.errors


class Live:
    """A topic that a worker has judged."""

    def __init__(self, broker: RunningBroker, prefix: str, directory: Path) -> None:
        self.bootstrap = broker.bootstrap_servers
        self.prefix = prefix
        self.settings = environment(self.bootstrap, prefix, directory / "state",
                                    ASSAY_MODELS_DIRECTORY=str(directory / "models"))  # fmt: skip
        for seed in (1, 2):
            ModelStore(directory / "models").add(small_model(seed).artefact.directory)
        log = keyed(mixed_log(2_500, seed=41, accounts=40))
        expected = expected_of(log, directory)
        self.verdicts = {number: parts["verdicts"] for number, parts in expected.items()}
        produce(self.bootstrap, f"{prefix}events", log)
        with worker(self.settings, directory / "log") as process:
            found = read_all(self.bootstrap, topics_of(prefix), PARTITIONS, total(expected))
            assert stop(process) == 0, (directory / "log").read_text()
        assert len(of_topic(found, "verdicts")) == sum(map(len, self.verdicts.values()))

    def traces(self) -> tuple[list[int], dict[str, list[tuple[int, int]]]]:
        """What a replay must not change: committed offsets, and the bounds of every live topic."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": f"{self.prefix}engine"})
        places = [TopicPartition(f"{self.prefix}events", number) for number in range(PARTITIONS)]
        committed = [place.offset for place in consumer.committed(places, timeout=20)]
        live = [f"{self.prefix}events", *topics_of(self.prefix)]
        bounds = {
            name: [
                consumer.get_watermark_offsets(TopicPartition(name, number), timeout=20) for number in range(PARTITIONS)
            ]
            for name in live
        }
        consumer.close()
        return committed, bounds

    def of_replay(self, run: str) -> dict[int, list[bytes]]:
        """What is in the topic of a run."""
        with TopicReader({"bootstrap.servers": self.bootstrap}) as reader:
            name = f"{self.prefix}verdicts.replay.{run}"
            return {
                number: [
                    record.value or b""
                    for batch in reader.read(name, number, 0, reader.bounds(name, number).high)
                    for record in batch
                ]
                for number in reader.partitions(name)
            }


def json_of(finished: Finished) -> dict:
    return orjson.loads(finished.output)


def test_replays_beside_a_worker(
    broker: RunningBroker, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One story, because a judged topic is dear: nothing changed, another model, another policy, topics, refusals."""
    live = Live(broker, topic, tmp_path)
    for name, value in live.settings.items():
        if name.startswith("ASSAY_"):
            monkeypatch.setenv(name, value)
    traces = live.traces()
    count = sum(map(len, live.verdicts.values()))

    same = assay("replay", "--from", "-1h", "--diff", "--json")
    assert same.code == 0, same.errors
    told = json_of(same)
    assert told["diff"] == {**told["diff"], "equal": count, "changed": 0, "groups": []}
    assert sum(told["decisions"].values()) == told["verdicts"] == count

    part = assay("replay", "--partition", 1, "--from", 400, "--to", 900, "--out", "-")
    assert part.code == 0, part.errors
    assert part.output.splitlines() == [
        value for value in live.verdicts[1] if 400 <= orjson.loads(value)["at"]["offset"] < 900
    ]

    other = assay(
        "replay", "--model", small_model(2).id, "--diff", "--diff-out", tmp_path / "diff.jsonl", "--topic",
        "--run", "other", "--out", tmp_path / "other.jsonl", "--json",
    )  # fmt: skip
    assert other.code == 1, other.errors
    before = [orjson.loads(value) for values in live.verdicts.values() for value in values]
    after = rows((tmp_path / "other.jsonl").read_bytes())
    changed = rows((tmp_path / "diff.jsonl").read_bytes())
    diff = json_of(other)["diff"]
    assert diff["changed"] == len(changed) == count  # every verdict names another model
    assert diff["expected_loss_before_minor"] == sum(verdict["expected_loss_minor"] for verdict in before)
    assert diff["expected_loss_after_minor"] == sum(verdict["expected_loss_minor"] for verdict in after)
    difference = diff["expected_loss_after_minor"] - diff["expected_loss_before_minor"]
    assert sum(group["expected_loss_minor"] for group in diff["groups"]) == difference
    assert {group["attack"] for group in diff["groups"]} >= {"card_not_present", "legit", "unlabelled"}
    assert {verdict["model"] for verdict in after} == {small_model(2).id[:16]}
    in_topic = live.of_replay("other")
    assert [verdict for number in in_topic for verdict in map(orjson.loads, in_topic[number])] == after

    again = assay("replay", "--model", small_model(2).id, "--topic", "--run", "other")
    assert again.code == 0, again.errors
    assert live.of_replay("other") == in_topic  # what is there is not written twice
    refused = assay("replay", "--topic", "--run", "other")
    assert refused.code == 1
    assert "holds another replay" in refused.errors

    (tmp_path / "policy.json").write_bytes(HARSH.to_json())
    policy = assay("replay", "--policy", tmp_path / "policy.json", "--diff")
    assert policy.code == 1
    assert b"turns at" in policy.output
    assert b"more: --all shows them" in policy.output
    assert "have another decision" in policy.errors
    models = assay("replay", "--diff-model", small_model(2).id, "--json", "--all")
    assert models.code == 1
    assert json_of(models)["diff"]["changed"] == count

    fails_with(assay("replay", "--from", 3, "--diff"), "--partition")
    fails_with(assay("replay", "--out", "-", "--model", "no-such-model"), "no-such-model")
    assert live.traces() == traces
