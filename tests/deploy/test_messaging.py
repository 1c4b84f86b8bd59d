"""Where a message goes: each combination of attributes to exactly one queue."""

import itertools
import json

import pytest
from moto.sns.utils import FilterPolicyMatcher

#: What may be said of a message, and None: nothing. `demo` and `other` are runtimes, the two
#: files lead to them.
VALUES = {
    "runtime": (None, "demo", "other", "DEMO", "elsewhere"),
    "priority": (None, "interactive", "batch", "urgent"),
    "sd_model_checkpoint": (None, "first.safetensors", "second.safetensors", "unknown.ckpt"),
    "tenant": (None, "ada"),
}
COMBINATIONS = [
    {name: value for name, value in zip(VALUES, values, strict=True) if value is not None}
    for values in itertools.product(*VALUES.values())
]
ROUTES = {"first.safetensors": "demo", "second.safetensors": "other"}


def expected(attributes):
    """The queue that a message with these attributes belongs in."""
    runtime = attributes.get("runtime")
    if runtime is None:
        runtime = ROUTES.get(attributes.get("sd_model_checkpoint"))
    if runtime not in ("demo", "other"):
        return "unrouted"
    return f"{runtime}-batch" if attributes.get("priority") == "batch" else runtime


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
    for attributes in filter(None, COMBINATIONS):
        given = {name: {"Type": "String", "Value": value} for name, value in attributes.items()}
        taken = [queue for queue, policy in policies.items() if policy.matches(given, "")]
        assert taken == [expected(attributes)], attributes


def test_each_message_arrives_where_it_belongs(applied, subscriptions):
    """By what lies in the queues after one message of each kind; the body comes as it was."""
    sns, sqs = applied.emulator.client("sns"), applied.emulator.client("sqs")
    topic = applied.outputs["app_config"]["shared"]["DARKROOM_JOBS_TOPIC_ARN"]
    sent = [attributes for attributes in COMBINATIONS if attributes and "tenant" not in attributes]
    for number, attributes in enumerate(sent):
        sns.publish(
            TopicArn=topic,
            Message=f"combination {number}",
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        )
    arrived = {}
    for queue in subscriptions:
        url = sqs.get_queue_url(QueueName=f"demo-{queue}")["QueueUrl"]
        while messages := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0, VisibilityTimeout=60
        ).get("Messages"):
            for message in messages:
                # Jobs of other tests lie here too; they stay.
                if message["Body"].startswith("combination "):
                    arrived.setdefault(int(message["Body"].split()[1]), []).append(queue)
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert arrived == {number: [expected(each)] for number, each in enumerate(sent)}


def test_no_filter_policy_has_more_combinations_than_sns_allows(subscriptions):
    """150 of values, five names; `$or` has two members at least."""
    for subscription in subscriptions.values():
        policy = json.loads(subscription["filter_policy"])
        members = policy.get("$or", [policy])
        assert "$or" not in policy or len(members) >= 2
        sizes = [1] * len(members)
        for number, member in enumerate(members):
            assert len(member) <= 5
            for rules in member.values():
                values = sum(
                    len(rule["anything-but"])
                    if isinstance(rule, dict) and "anything-but" in rule
                    else 1
                    for rule in rules
                )
                sizes[number] *= values
        assert sum(sizes) <= 150


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
        assert queue["kms_master_key_id"], name
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
