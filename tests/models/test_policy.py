"""A policy file is checked as a whole before it decides anything."""

import msgspec
import pytest

from features.errors import AssayError
from models.policy import Costs, Policy, Treatment


def changed(path: str, value: object) -> bytes:
    """The default policy as JSON with the field at `path` set to `value`."""
    document = msgspec.json.decode(Policy.default().to_json())
    *parents, last = path.split(".")
    place = document
    for parent in parents:
        place = place[parent]
    place[last] = value
    return msgspec.json.encode(document)


def test_the_default_policy_survives_its_own_json():
    policy = Policy.default()
    assert Policy.from_json(policy.to_json(), "policy.json") == policy


def test_equal_policies_have_equal_bytes_however_they_were_written():
    policy = Policy.default()
    document = msgspec.json.decode(policy.to_json())
    pretty = msgspec.json.format(msgspec.json.encode(dict(reversed(document.items()))), indent=4)
    assert Policy.from_json(pretty, "policy.json").policy_id == policy.policy_id
    whole_numbers = Policy.from_json(changed("payment.margin", 0), "policy.json")
    built = msgspec.structs.replace(policy, payment=msgspec.structs.replace(policy.payment, margin=0))
    assert built.to_json() == whole_numbers.to_json()


def test_each_number_is_part_of_the_identity():
    seen = {Policy.default().policy_id}
    for path, value in (
        ("payment.insult_minor", 1),
        ("login.exposure_minor", 1),
        ("application.review.cost_minor", 1),
        ("login.margin", 0.5),
        ("rules_only.payment.otherwise", "decline"),
        ("anomaly_step_up_at", 0.9),
    ):
        policy_id = Policy.from_json(changed(path, value), "policy.json").policy_id
        assert len(policy_id) == 16
        assert policy_id not in seen
        seen.add(policy_id)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("payment.margin", 1.5, "$.payment.margin"),
        ("payment.margin", -0.1, "$.payment.margin"),
        ("payment.insult_minor", -1, "$.payment.insult_minor"),
        ("payment.insult_minor", 2.5, "$.payment.insult_minor"),
        ("payment.insult_minor", 10**13, "$.payment.insult_minor"),
        ("payment.insult_minor", "12", "$.payment.insult_minor"),
        ("login.step_up.abandon_share", None, "$.login.step_up.abandon_share"),
        ("payment.marginn", 0.1, "marginn"),
        ("schema", 2, "$.schema"),
        ("payment.review.fraud_pass_share", 0.9, "review.fraud_pass_share <= step_up.fraud_pass_share (0.15), got 0.9"),
        ("payment.step_up", None, "on offer for a payment, got step_up in rules_only.payment"),
        ("rules_only.login.otherwise", "review", "on offer for a login, got review in rules_only.login"),
        ("rules_only.payment.rules", [{"feature": "x", "outcome": "decline"}], "at_least and below in the rule on x"),
        ("rules_only.payment.otherwise", "aprove", "$.rules_only.payment.otherwise"),
        ("rules_only.application", None, "$.rules_only.application"),
        ("payment.review.abandon_share", 0.01, "review.abandon_share >= step_up.abandon_share (0.05), got 0.01"),
    ],
)
def test_a_fault_is_told_with_its_place(path, value, told):
    with pytest.raises(AssayError) as failure:
        Policy.from_json(changed(path, value), "eu/policy.json")
    message = str(failure.value)
    assert told in message
    assert message.startswith("eu/policy.json is not a policy")
    assert "unknown" not in message
    assert "\n" not in message


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'"x"', b"\xff", b'{"payment": NaN}'])
def test_something_else_is_not_a_policy(data):
    with pytest.raises(AssayError, match="is not a policy"):
        Policy.from_json(data, "policy.json")


def test_treatments_out_of_order_are_refused_in_code_too():
    costs = msgspec.structs.asdict(Policy.default().payment)
    costs["step_up"] = Treatment(cost_minor=0, abandon_share=0.0, fraud_pass_share=0.0)
    with pytest.raises(ValueError, match=r"review\.fraud_pass_share"):
        Costs(**costs)
    assert Costs(**{**costs, "review": None}).review is None


def test_treatments_of_equal_strength_are_in_order():
    costs = msgspec.structs.asdict(Policy.default().payment)
    same = Treatment(cost_minor=5, abandon_share=0.1, fraud_pass_share=0.05)
    assert Costs(**{**costs, "step_up": same, "review": same}).review == same
