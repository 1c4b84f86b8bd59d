"""Each alarm is fed: it is raised by what it is for, and by nothing else."""

import pytest
from alarm import state

SQS, SNS, USAGE = "AWS/SQS", "AWS/SNS", "AWS/Usage"
VISIBLE, HIDDEN = "ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"
OLDEST, DELETED = "ApproximateAgeOfOldestMessage", "NumberOfMessagesDeleted"
LOST = "NumberOfNotificationsFilteredOut-NoMessageAttributes"
#: What CloudWatch has of these services: an alarm on another name would never be raised. With the
#: statistics that an alarm may ask: the mean of an age hides a peak, a sum of ages says nothing.
STATISTICS = {
    (SQS, OLDEST): {"Maximum"},
    # For a person the most that there was; for `stuck` what was there all the time.
    (SQS, VISIBLE): {"Maximum", "Minimum"},
    (SQS, HIDDEN): {"Minimum"},
    (SQS, DELETED): {"Sum"},
    (SNS, LOST): {"Sum"},
    (USAGE, "ResourceCount"): {"Maximum"},
}
#: Seconds: the periods that the cases below are counted in.
PERIOD_S = 300


def of_queue(metric, queue):
    """A queue's metric."""
    return SQS, metric, frozenset({("QueueName", f"demo-{queue}")})


def person(queue):
    """A queue that only a person empties: one message is enough."""
    at = of_queue(VISIBLE, queue)
    return [({at: [1]}, "ALARM"), ({at: [1, 0]}, "OK"), ({}, "OK")]


def oldest(queue, limit_s):
    """A job that waits too long, for three periods."""
    at = of_queue(OLDEST, queue)
    return [
        ({at: [limit_s + 1] * 3}, "ALARM"),
        ({at: [limit_s + 1, limit_s, limit_s + 1]}, "OK"),
        ({at: [limit_s + 1] * 2}, "OK"),
        ({}, "OK"),
    ]


def stuck(queue):
    """Messages for an hour, of which none is deleted."""
    visible, hidden, deleted = (of_queue(each, queue) for each in (VISIBLE, HIDDEN, DELETED))
    return [
        ({visible: [3] * 12, hidden: [0] * 12, deleted: [0] * 12}, "ALARM"),
        ({visible: [3] * 12, hidden: [0] * 12}, "ALARM"),
        ({visible: [0] * 12, hidden: [2] * 12, deleted: [0] * 12}, "ALARM"),
        ({visible: [3] * 12, hidden: [0] * 12, deleted: [0] * 11 + [1]}, "OK"),
        ({visible: [3] * 11 + [0], hidden: [0] * 12, deleted: [0] * 12}, "OK"),
        ({deleted: [0] * 12}, "OK"),
        ({}, "OK"),
    ]


def quota(kind):
    """vCPUs in use, of a quota of 100."""
    dimensions = {"Class": kind, "Resource": "vCPU", "Service": "EC2", "Type": "Resource"}
    at = (USAGE, "ResourceCount", frozenset(dimensions.items()))
    return [({at: [81]}, "ALARM"), ({at: [80]}, "OK"), ({}, "OK")]


CASES = {
    **{queue: person(queue) for queue in ("unrouted", "undelivered")},
    **{
        f"{runtime}-{kind}": person(f"{runtime}-{kind}")
        for runtime in ("demo", "other")
        for kind in ("dead-letters", "parked")
    },
    **{f"{runtime}-oldest-message": oldest(runtime, 1800) for runtime in ("demo", "other")},
    **{
        f"{runtime}-batch-oldest-message": oldest(f"{runtime}-batch", 43200)
        for runtime in ("demo", "other")
    },
    **{f"{queue}-stuck": stuck(queue) for queue in ("demo", "demo-batch", "other", "other-batch")},
    "gpu-quota-on-demand": quota("G/OnDemand"),
    "gpu-quota-spot": quota("G/Spot"),
    "without-attributes": [
        (
            {(SNS, LOST, frozenset({("TopicName", "demo-jobs")})): [5]},
            "ALARM",
        ),
        ({}, "OK"),
    ],
}


@pytest.fixture(scope="module")
def alarms(planned):
    """Name -> alarm."""
    return {
        values["alarm_name"].removeprefix("demo-"): values
        for address, values in planned.items()
        if address.startswith("aws_cloudwatch_metric_alarm.")
    }


def test_each_alarm_has_its_case(alarms):
    """An alarm that was never seen raised is a hope."""
    assert set(alarms) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_an_alarm_is_raised_by_what_it_is_for(alarms, name):
    """And not by less, nor by figures that are missing."""
    for figures, wanted in CASES[name]:
        assert state(alarms[name], figures) == wanted, figures


def test_each_alarm_names_metrics_that_exist_and_tells_somebody(applied, alarms):
    """A wrong name is silent for ever, a wrong statistic or period is raised by something else."""
    topic = applied.resources["aws_sns_topic.alarms"]["arn"]
    for name, alarm in alarms.items():
        metrics = [query["metric"][0] for query in alarm["metric_query"] if query["metric"]]
        for metric in metrics or [alarm]:
            asked = metric.get("stat") or metric["statistic"]
            assert asked in STATISTICS[metric["namespace"], metric["metric_name"]], name
            assert metric["period"] == PERIOD_S, name
        assert set(alarm["alarm_actions"]) == {topic}
        assert alarm["alarm_description"]


def test_the_budget_tells_the_same_topic(applied):
    """At 80 of 100 spent by what carries our tag, and when more than all is foreseen."""
    budget = applied.resources["aws_budgets_budget.monthly[0]"]
    told = {
        (each["notification_type"], each["threshold"], *each["subscriber_sns_topic_arns"])
        for each in budget["notification"]
    }
    topic = applied.resources["aws_sns_topic.alarms"]["arn"]
    [counted] = budget["cost_filter"]
    assert counted == {"name": "TagKeyValue", "values": ["user:darkroom:installation$demo"]}
    assert told == {("ACTUAL", 80, topic), ("FORECASTED", 100, topic)}


def test_the_two_quotas_of_gpus_are_told_apart_by_all_their_dimensions():
    """By the first alone, usage of anything else in that class would count."""
    alarm = {
        "evaluation_periods": 1,
        "comparison_operator": "GreaterThanThreshold",
        "treat_missing_data": "notBreaching",
        "threshold": 0,
        "namespace": USAGE,
        "metric_name": "ResourceCount",
        "dimensions": {"Class": "G/Spot", "Resource": "vCPU"},
    }
    at = (USAGE, "ResourceCount")
    exact, other = frozenset({("Class", "G/Spot"), ("Resource", "vCPU")}), {("Class", "G/Spot")}
    assert state(alarm, {(*at, exact): [1]}) == "ALARM"
    assert state(alarm, {(*at, frozenset(other)): [1]}) == "OK"
    assert state(alarm, {(*at, frozenset({*other, ("Type", "vCPU")})): [1]}) == "OK"
