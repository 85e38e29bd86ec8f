"""The state of a partition made anew out of the log, up to what its group has committed and never beyond."""

from collections.abc import Callable
from pathlib import Path

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, TopicPartition

from features.errors import AssayError
from streams.config import Config
from streams.kafka_clients import ask_committed, connection
from streams.time_machine import TimeMachine
from streams.topic_identity import topic_id_value

_ANSWER_S = 20.0


def committed_offset(config: Config, topic: str, partition: int) -> int:
    """What the workers' group has committed of a partition, asked for without joining the group.

    Raises:
        AssayError: nothing was committed, or the broker does not tell.
    """
    group = config.text("kafka.group")
    consumer = Consumer({**connection(config), "group.id": group, "enable.auto.commit": False})
    try:
        place = ask_committed(consumer, TopicPartition(topic, partition), _ANSWER_S)
    except KafkaException as error:
        raise AssayError(
            f"asking what group {group} has committed of {topic}[{partition}]: {error.args[0].str()}; check the "
            "address, the user's rights, and that Kafka is up"
        ) from None
    finally:
        consumer.close()
    if place.offset == OFFSET_INVALID:
        raise AssayError(
            f"group {group} has committed nothing of {topic}[{partition}], so there is nothing to rebuild; check "
            "kafka.group"
        )
    return int(place.offset)


def rebuild(
    machine: TimeMachine,
    partition: int,
    end: int,
    directory: Path,
    topic_id: str,
    progress: Callable[[int, int], None],
) -> int:
    """Fold a partition up to `end` into `directory`, from the nearest snapshot or the beginning of the log.

    Args:
        machine: the way to snapshots and log.
        partition: number of the partition.
        end: records below this offset are folded.
        directory: of the new state; must not exist.
        topic_id: of the topic that the state is for, see `streams/topic_identity.py`.
        progress: told records folded and, about, records in all.

    Returns:
        Offset at which the state stands: `end`, or a little less where the log has gaps.

    Raises:
        AssayError: neither a snapshot nor the log reaches back far enough, or the log ends before `end`.
    """
    low, high = machine.history.bounds(partition)
    if end > high:
        raise AssayError(
            f"partition {partition}: {end} is committed, the log ends at {high}: the topic was made anew, and this "
            "group belongs to the former one; set another kafka.group"
        )
    done = 0

    def folded(records: int) -> None:
        nonlocal done
        done += records
        progress(done, max(end - low, done))

    with machine.at_in(directory, partition, end, folded) as found:
        found.checkpoint(topic_id_value(topic_id))
        return found.next_offset
