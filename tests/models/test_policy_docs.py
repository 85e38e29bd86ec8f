"""Every number of docs/policy.md is computed again."""

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest

from features.catalogue import FEATURES
from features.columns import APPLICATION, LOGIN, PAYMENT
from models.decision import OUTCOMES, decide, explain_costs
from models.policy import Costs, Policy, Treatment
from models.ruling import decide_by_rules

TEXT = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")


def table(header):
    """Rows of the table that begins with `header`, as lists of cells."""
    lines = TEXT[TEXT.index(header) :].splitlines()
    assert lines[1].startswith("|---")
    rows = []
    for line in lines[2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    assert rows
    return rows


def decision(probability, amount_minor):
    found = decide(
        Policy.default(),
        np.array([probability]),
        np.array([np.nan]),
        np.array([amount_minor]),
        np.array([PAYMENT], dtype=np.uint8),
    )
    return OUTCOMES[found.outcome[0]], int(found.expected_loss_minor[0])


@pytest.mark.parametrize("row", table("| p | approve | step_up"), ids=lambda row: row[0])
def test_costs_and_decision_of_the_example(row):
    costs = explain_costs(Policy.default(), float(row[0]), 90_000, PAYMENT)
    assert row[1:5] == [f"{cost:.2f}" for cost in costs.values()]
    assert row[5] == decision(float(row[0]), 90_000)[0]


def test_the_sums_of_the_example_add_up():
    """Each line `- outcome: sum = sum = number` of the example, worked out from left to right."""
    lines = re.findall(r"^- (approve|step_up|review|decline): (.+)$", TEXT, flags=re.MULTILINE)
    costs = explain_costs(Policy.default(), 0.05, 90_000, PAYMENT)
    assert [outcome for outcome, _ in lines] == list(costs)
    for outcome, sums in lines:
        for side in sums.split("="):
            total = sum(float(np.prod([float(factor) for factor in part.split("×")])) for part in side.split("+"))
            assert total == pytest.approx(costs[outcome])
    assert decision(0.05, 90_000) == ("step_up", 4150)
    assert "`expected_loss_minor` is 4150" in TEXT


def test_decisions_by_amount():
    header = "| p | 5.00 |"
    amounts = [
        round(float(cell) * 100) for cell in TEXT[TEXT.index(header) :].splitlines()[0].strip("|").split("|")[1:]
    ]
    for row in table(header):
        assert row[1:] == [decision(float(row[0]), amount_minor)[0] for amount_minor in amounts]


def test_the_example_names_the_numbers_of_the_built_in_policy():
    payment = Policy.default().payment
    for field in ("loss_given_fraud", "chargeback_fee_minor", "margin", "insult_minor"):
        assert re.search(rf"`{field}`\s+{getattr(payment, field):g}\b", TEXT)
    told = re.search(r"step-up costs (\d+), loses (\d+) % of customers and lets (\d+) % of fraud pass;", TEXT)
    assert [int(number) for number in told.groups()] == [
        payment.step_up.cost_minor,
        round(100 * payment.step_up.abandon_share),
        round(100 * payment.step_up.fraud_pass_share),
    ]
    told = re.search(r"review costs (\d+), loses (\d+) %\s+and lets (\d+) % pass\.", TEXT)
    assert [int(number) for number in told.groups()] == [
        payment.review.cost_minor,
        round(100 * payment.review.abandon_share),
        round(100 * payment.review.fraud_pass_share),
    ]
    share = payment.margin / (payment.margin + payment.loss_given_fraud)
    assert f"about {share:.1%}".replace("%", " %") in TEXT


def test_the_rules_of_the_example_are_a_policy():
    example = re.search(r"```json\n\"rules_only\": (.+?)```", TEXT, flags=re.DOTALL).group(1)
    document = msgspec.to_builtins(Policy.default()) | {"rules_only": msgspec.json.decode(example)}
    policy = Policy.from_json(msgspec.json.encode(document), "policy.json")
    policy.check_features(FEATURES.names, "policy.json")


def by_rules(kind, amount_minor=0, **values):
    """What the built-in rules decide about an event of which this is known."""
    row = np.full((1, len(FEATURES)), np.nan, dtype=np.float32)
    for name, value in values.items():
        row[0, FEATURES.index[name]] = value
    kinds = np.array([kind], dtype=np.uint8)
    return OUTCOMES[decide_by_rules(Policy.default(), FEATURES.index, row, np.array([amount_minor]), kinds).outcome[0]]


def test_the_built_in_rules_are_what_is_said_of_them():
    """Each clause of the paragraph in turn, and its other side."""
    assert "ten payments in ten minutes are declined" in TEXT
    assert by_rules(PAYMENT, 100, account_payment_count_10m=10) == "decline"
    assert by_rules(PAYMENT, 100, account_payment_count_10m=9) == "approve"
    assert "1,000.00 and more is reviewed" in TEXT
    assert by_rules(PAYMENT, 100_000) == "review"
    assert by_rules(PAYMENT, 99_999) == "step_up"
    assert "five payments or three failed logins in an hour, or a new device, ask for a step-up" in TEXT
    for name, bound in (
        ("account_payment_count_1h", 5),
        ("account_failed_login_count_1h", 3),
        ("account_device_is_new", 1),
    ):
        assert by_rules(PAYMENT, 100, **{name: bound}) == "step_up"
        assert by_rules(PAYMENT, 100, **{name: bound - 1}) == "approve"
    assert "less than\n50.00 passes, anything else is a step-up" in TEXT
    assert by_rules(PAYMENT, 4_999) == "approve"
    assert by_rules(PAYMENT, 5_000) == "step_up"
    assert "A login with a known device passes, unless three failed within the hour" in TEXT
    assert by_rules(LOGIN, account_device_is_new=0, account_failed_login_count_1h=2) == "approve"
    assert by_rules(LOGIN, account_device_is_new=0, account_failed_login_count_1h=3) == "step_up"
    assert by_rules(LOGIN, account_device_is_new=1) == by_rules(LOGIN) == "step_up"
    assert "an\napplication is reviewed" in TEXT
    assert by_rules(APPLICATION) == by_rules(APPLICATION, 100) == "review"


def test_every_field_is_in_the_table():
    told = {name for row in table("| field | meaning |") for name in re.findall(r"`(\w+)`", " ".join(row))}
    kinds = {"payment", "login", "application"}
    fields = {field.name for shape in (Policy, Costs, Treatment) for field in msgspec.structs.fields(shape)}
    assert fields - kinds <= told
