"""An installation taken away: which steps, and what each of them looks at."""

import json
from dataclasses import replace

import boto3
import pytest
from ministack.core.iam_evaluator import EvalContext, resource_policy_allows
from moto import mock_aws

from darkroom.deploy.account import Account
from darkroom.deploy.cluster import BY_REMOVAL, PAUSED
from darkroom.deploy.farewell import EndedNodes, EndedWork, StoppedIntake, half_way
from darkroom.deploy.journal import Journal
from darkroom.deploy.manifests import AppliedManifests
from darkroom.deploy.plan import Deployment
from darkroom.deploy.program import Programs
from darkroom.deploy.removal import as_deployed, removal
from darkroom.deploy.step import Undoing
from darkroom.deploy.wanted import Wanted


@pytest.fixture
def connect():
    """An account in memory."""
    with mock_aws():
        yield lambda service: boto3.client(service, region_name="us-west-2")


TOPIC = "arn:aws:sns:us-west-2:123456789012:demo-jobs"
SWEEPER = "arn:aws:iam::123456789012:role/demo-sweeper"


def stopped(connect, cluster=None):
    """The step that lets in nobody."""
    return StoppedIntake(
        functions=connect("lambda"),
        sns=connect("sns"),
        installation="demo",
        topic=TOPIC,
        sweeper=SWEEPER,
        cluster=cluster,
    )


TERRAFORM = "remove AWS resources (Terraform)"


@pytest.fixture
def deployment(connect, catalogue, tmp_path):
    """One whose runtimes are not those that the command line has as defaults."""
    [*_, other] = catalogue.runtimes
    renamed = catalogue.model_copy(update={"runtimes": {"painter": catalogue.runtimes[other]}})
    return Deployment(
        wanted=Wanted(name="demo", region="us-west-2", work=tmp_path),
        account=Account(id="111122223333", arn="arn:aws:iam::111122223333:root"),
        connect=connect,
        programs=Programs(),
        journal=Journal(tmp_path / "log"),
        catalogue=renamed,
        package=lambda: None,
    )


def test_a_removal_needs_no_runtime_of_any_name(deployment):
    """runtimes.yaml may have changed since, and has nothing to do with it."""
    deployment.state_bucket.apply()
    for cluster in (None, deployment.cluster):
        assert TERRAFORM in [step.name for step in removal(deployment, cluster)]


def test_a_removal_orphans_nothing(deployment):
    """Work ends before nodes do, nodes before Karpenter, all of it before the cluster."""
    deployment.state_bucket.apply()
    steps = removal(deployment, deployment.cluster)
    intake = next(each for each in steps if isinstance(each, StoppedIntake))
    assert intake.topic == "arn:aws:sns:us-west-2:111122223333:demo-jobs"
    assert intake.sweeper == "arn:aws:iam::111122223333:role/demo-sweeper"
    undone = {step.step.name.split()[0] for step in steps if isinstance(step, Undoing)}
    assert {"karpenter", "keda", "kuberay"} < undone
    assert [step.name.removeprefix("remove ").split()[0] for step in steps] == [
        "the",
        "stop",
        "drain",
        "delete",
        "delete",
        *[operator.name.split()[0] for operator in reversed(deployment.operators())],
        "AWS",
        "what",
        "state",
    ]
    assert deployment.operators()[0].name.startswith("karpenter ")
    kinds = [type(step) for step in steps]
    assert kinds.index(EndedWork) < kinds.index(EndedNodes)


def test_a_removal_of_what_is_gone_asks_nothing_of_terraform(deployment):
    """It would fail of the bucket that the last removal has taken away."""
    assert TERRAFORM not in [step.name for step in removal(deployment, None)]


def may_publish(policy, who):
    """Whether the topic's policy lets somebody in, by the emulator's own evaluator."""
    asked = EvalContext(
        principal_arn=who,
        principal_type="AssumedRole",
        principal_account="123456789012",
        action="sns:Publish",
        resource_arn=TOPIC,
        region="us-west-2",
        source_ip="192.0.2.1",
        secure_transport=True,
        service_context={"aws:principalarn": who},
    )
    return resource_policy_allows(policy, asked, same_account=True)


def test_nobody_publishes_jobs_past_the_api_while_the_installation_goes(connect):
    """But the sweeper: what it publishes is accepted, and is drained with the rest."""
    sns = connect("sns")
    sns.create_topic(Name="demo-jobs")

    def policy():
        return sns.get_topic_attributes(TopicArn=TOPIC)["Attributes"]["Policy"]

    client = "arn:aws:iam::123456789012:role/client"
    assert may_publish(policy(), client)
    stopped(connect).apply()
    assert not may_publish(policy(), client)
    assert may_publish(policy(), SWEEPER)
    closed = policy()
    stopped(connect).apply()
    assert json.loads(policy()) == json.loads(closed)


def test_an_api_and_a_topic_that_are_gone_are_closed(connect):
    """A removal that goes on finds neither."""
    assert connect("sns").list_topics()["Topics"] == []
    stopped(connect).apply()


class Kubectl:
    """A cluster with Ray ready and two ScaledObjects, the first of which somebody has paused."""

    def __init__(self):
        self.annotations = {"bridge-demo": {PAUSED: "true"}, "bridge-demo-batch": {}}
        self.different = set()

    def kubectl(self, verb, *words, **_):
        if verb == "diff":
            return "another" * (words[-1] in self.different)
        if verb == "apply":
            self.different.discard(words[-1])
        if verb == "annotate":
            for name in self.annotations.keys() & set(words):
                self._annotate(self.annotations[name], words)
        return ""

    def _annotate(self, annotations, words):
        for mark in (PAUSED, BY_REMOVAL):
            if f"{mark}-" in words:
                del annotations[mark]
            if f"{mark}=true" in words:
                annotations[mark] = "true"

    def items(self, kind, **_):
        if kind == "rayservices":
            ready = {"conditions": [{"type": "Ready", "status": "True"}]}
            return [{"metadata": {"name": "demo"}, "status": ready}]
        return [
            {"metadata": {"name": name, "annotations": annotations}}
            for name, annotations in self.annotations.items()
        ]


@pytest.fixture
def kubectl():
    return Kubectl()


@pytest.fixture
def said():
    """What a person is told."""
    return []


@pytest.fixture
def manifests(kubectl, said, tmp_path):
    """The step that applies ours."""
    return AppliedManifests(cluster=kubectl, folder=tmp_path, say=said.append)


def test_a_deploy_after_a_removal_that_stopped_lets_keda_scale_again(
    connect, kubectl, manifests, said
):
    """No apply changes what another has written: the pause would stay for ever."""
    kubectl.annotations["bridge-demo"] = {}
    stopped(connect, kubectl).apply()
    assert all(PAUSED in marks for marks in kubectl.annotations.values())
    assert not manifests.check().done
    manifests.apply()
    assert manifests.check().done
    assert kubectl.annotations == {"bridge-demo": {}, "bridge-demo-batch": {}}
    assert said == [
        "scales again, after a removal that was not ended: bridge-demo, bridge-demo-batch"
    ]


def test_what_a_person_has_paused_stays_so_and_is_said(kubectl, manifests, said):
    """Whoever paused it had a reason; whoever deploys would wonder why nothing moves."""
    standing = manifests.check()
    assert standing.done
    manifests.apply()
    assert kubectl.annotations["bridge-demo"] == {PAUSED: "true"}
    for text in (standing.says, *said):
        assert "left so: bridge-demo. Their jobs wait" in text
        assert f"kubectl annotate scaledobjects -n darkroom bridge-demo {PAUSED}-" in text
    assert len(said) == 1


def test_a_removal_does_not_make_a_persons_pause_its_own(connect, kubectl, manifests):
    """A deploy after it lets only those scale that the removal has paused."""
    stopped(connect, kubectl).apply()
    manifests.apply()
    assert kubectl.annotations == {"bridge-demo": {PAUSED: "true"}, "bridge-demo-batch": {}}


@pytest.mark.parametrize("part", [".", "operators/disruption.yaml"])
def test_all_that_is_applied_is_compared_first(kubectl, manifests, part):
    """A budget that differs is a difference, too."""
    assert manifests.check().done
    kubectl.different = {str(manifests.folder / part)}
    assert not manifests.check().done
    manifests.apply()
    assert manifests.check().done


def test_a_removal_that_stops_says_how_it_stands_and_both_ways_on():
    """Whoever changes his mind would wonder why nothing moves."""
    text = half_way("darkroom destroy --name demo")
    assert text.startswith("darkroom destroy --name demo\n")
    assert "`darkroom deploy`" in text
    assert "it takes no job and KEDA is paused" in text


@pytest.fixture
def recalled(deployment, said, monkeypatch):
    """The deployment as a removal finds it."""
    monkeypatch.setattr(deployment.journal, "say", said.append)

    def found(**changed):
        wanted = replace(deployment.wanted, **changed)
        return as_deployed(replace(deployment, wanted=wanted))

    return found


def begun(deployment):
    """The bucket of its state, without the policy, of which moto reads no condition."""
    bucket = deployment.state_bucket
    place = {"LocationConstraint": bucket.region}
    bucket.s3.create_bucket(Bucket=bucket.bucket, CreateBucketConfiguration=place)


def test_an_overlay_that_nobody_wrote_down_is_said_to_be_assumed(deployment, recalled, said):
    """With how to say another; of an installation without a state nothing is assumed."""
    assert (recalled().wanted.overlay, said) == ("dev", [])
    begun(deployment)
    assert recalled().wanted.overlay == "dev"
    assert "Taken for granted: --overlay dev, and no other option" in said[0]
    assert "is said by --overlay" in said[0]
    assert recalled(overlay="prod").wanted.overlay == "prod"
    assert "--overlay prod" in said[1]


def test_what_was_written_down_is_used_without_a_word(deployment, recalled, said):
    """Its runtimes, too: runtimes.yaml may have others by now, and queues have their names."""
    begun(deployment)
    deployment.memory.keep(replace(deployment.wanted, overlay="prod"), ["sketcher"])
    found = recalled()
    assert (found.wanted.overlay, said) == ("prod", [])
    assert set(found.names.job_queues) == {"demo-sketcher", "demo-sketcher-batch"}
    assert set(deployment.names.job_queues) == {"demo-painter", "demo-painter-batch"}
