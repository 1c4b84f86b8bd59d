"""Where a message goes: each combination of attributes to exactly one queue."""

import json

import pytest
from moto.sns.utils import FilterPolicyMatcher
from routing import COMBINATIONS, EACH_IN_ITS_QUEUE, delivered, expected


@pytest.fixture(scope="module")
def subscriptions(applied):
    """Queue -> subscription, of the input topic."""
    topic = applied.outputs["app_config"]["shared"]["DARKROOM_JOBS_TOPIC_ARN"]
    return {
        made["endpoint"].rpartition(":demo-")[2]: made
        for made in applied.of_type("aws_sns_topic_subscription").values()
        if made["topic_arn"] == topic
    }


def test_each_combination_of_attributes_has_exactly_one_queue(subscriptions):
    """By the filter policies alone, as another program than the emulator reads them."""
    policies = {
        queue: FilterPolicyMatcher(json.loads(subscription["filter_policy"]), None)
        for queue, subscription in subscriptions.items()
    }
    assert set(policies) == {"demo", "demo-batch", "other", "other-batch", "unrouted"}
    for attributes in COMBINATIONS:
        given = {name: {"Type": "String", "Value": value} for name, value in attributes.items()}
        taken = [queue for queue, policy in policies.items() if policy.matches(given, "")]
        assert taken == [expected(attributes)], attributes


def test_each_message_arrives_where_it_belongs(applied, subscriptions):
    """By what lies in the queues after one message of each kind; the body comes as it was."""
    arrived = delivered(
        applied.emulator.client("sns"),
        applied.emulator.client("sqs"),
        topic=applied.outputs["app_config"]["shared"]["DARKROOM_JOBS_TOPIC_ARN"],
        queues=subscriptions,
    )
    assert arrived == EACH_IN_ITS_QUEUE


def test_no_filter_policy_is_too_complex_for_sns(subscriptions):
    """At most 150: the numbers of values in all arrays, multiplied; and five names at most.

    SNS does not say how it counts `$or`. This counts it as one more array, as moto does.
    """

    def size(policy):
        product = 1
        for name, rules in policy.items():
            product *= len(rules)
            if name == "$or":
                assert len(rules) >= 2, "SNS would take it for an attribute's name"
                for member in rules:
                    product *= size(member)
        return product

    for subscription in subscriptions.values():
        policy = json.loads(subscription["filter_policy"])
        assert len(policy) <= 5
        assert size(policy) <= 150


def test_every_subscription_has_somewhere_to_leave_what_it_cannot_deliver(applied):
    """To a queue of the same installation, which lets the topic send."""
    policies = {made["arn"]: json.loads(made["policy"]) for made in queues(applied).values()}
    for made in applied.of_type("aws_sns_topic_subscription").values():
        if made["protocol"] != "sqs":
            continue
        assert made["raw_message_delivery"] is True
        for queue in (made["endpoint"], json.loads(made["redrive_policy"])["deadLetterTargetArn"]):
            [allowed] = [each for each in policies[queue]["Statement"] if each["Effect"] == "Allow"]
            sources = allowed["Condition"]["ArnEquals"]["aws:SourceArn"]
            assert made["topic_arn"] in ([sources] if isinstance(sources, str) else sources)


def queues(applied):
    """Name -> queue."""
    return {made["name"]: made for made in applied.of_type("aws_sqs_queue").values()}


def test_queues_redrive_and_are_encrypted_and_take_nothing_without_tls(applied):
    """A poisonous message ends in the runtime's dead letters, which take no other queue's."""
    made = queues(applied)
    for name, queue in made.items():
        # EventBridge, which warns of interruptions, might not be let use a key of ours.
        by_sqs = name == "demo-interruptions"
        assert queue["sqs_managed_sse_enabled"] if by_sqs else queue["kms_master_key_id"], name
        statements = {each["Sid"]: each for each in json.loads(queue["policy"])["Statement"]}
        assert statements["TlsOnly"]["Effect"] == "Deny", name
        assert all(
            "Condition" in each for each in statements.values() if each["Effect"] == "Allow"
        ), name
    for runtime in ("demo", "other"):
        dead = made[f"demo-{runtime}-dead-letters"]
        sources = json.loads(dead["redrive_allow_policy"])["sourceQueueArns"]
        assert set(sources) == {made[f"demo-{runtime}{kind}"]["arn"] for kind in ("", "-batch")}
        for kind in ("", "-batch"):
            redrive = json.loads(made[f"demo-{runtime}{kind}"]["redrive_policy"])
            assert redrive == {"deadLetterTargetArn": dead["arn"], "maxReceiveCount": 50}
