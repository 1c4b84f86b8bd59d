"""A snapshot is built, verified and tagged, or nothing is left: every call fails once."""

from dataclasses import replace
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ec2.models import ec2_backends

from darkroom.cluster.snapshot import IMAGE_TAG, resolve
from darkroom.deploy.content import Content, volume_gib
from darkroom.deploy.errors import SnapshotFailed
from darkroom.deploy.snapshot_build import BUILD_TAG, SnapshotBuilder, bottlerocket_version
from darkroom.deploy.snapshots import delete, listed, superfluous
from records.errors import RecordsError

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
SERVE = Content(
    name="serve-gpu",
    image=f"111122223333.dkr.ecr.us-west-2.amazonaws.com/demo/serve@{DIGEST}",
    bytes=9 * 2**30,
)
PROXY = Content(
    name="kube-proxy",
    image=f"602401143452.dkr.ecr.us-west-2.amazonaws.com/eks/kube-proxy@{OTHER}",
    also="602401143452.dkr.ecr.us-west-2.amazonaws.com/eks/kube-proxy:v1.35.3",
    bytes=2**27,
    ours=False,
)


def asks_for(name, command):
    """Whether `ctr images check` lists an image: any of its filters fits, or there is none."""
    filters = [word for word in command.split() if word.startswith("name==")]
    return f"name=={name}" in filters or (" check" in command and not filters)


class Shell:
    """An SSM whose instance pulls whatever it is told to."""

    def __init__(self, contents=(SERVE, PROXY)):
        self.contents = contents
        self.commands = []
        self.answers = {}
        self.online = True
        self.whole = True
        self.failing = None
        self.failures = 1000
        self.lost = None

    def get_parameter(self, Name):  # noqa: N803  # boto3's spelling
        assert Name == "/aws/service/bottlerocket/aws-k8s-1.35/x86_64/1.64.0/image_id"
        return {"Parameter": {"Value": "ami-12c6146b"}}

    def describe_instance_information(self, Filters):  # noqa: N803
        return {"InstanceInformationList": [{"PingStatus": "Online"}] if self.online else []}

    def send_command(self, *, InstanceIds, DocumentName, Parameters):  # noqa: N803
        [command] = Parameters["commands"]
        self.commands.append(command)
        name = str(len(self.commands))
        failed = self.failing is not None and self.failing in command and self.failures > 0
        self.failures -= failed
        listing = "\n".join(
            f"{name} application/vnd.oci.image.index.v1+json {each.digest} "
            f"{'complete (9/9)' if self.whole else 'incomplete (3/9)'} 9.0 GiB/9.0 GiB "
            f"{'true' if self.whole else 'false'}"
            for each in self.contents
            for name in each.names
            if name != self.lost and asks_for(name, command)
        )
        self.answers[name] = {
            "Status": "Failed" if failed else "Success",
            "StandardOutputContent": listing[:24_000],
            "StandardErrorContent": "no space left on device" if failed else "",
        }
        return {"Command": {"CommandId": name}}

    def get_command_invocation(self, *, CommandId, InstanceId):  # noqa: N803
        return self.answers[CommandId]


class Failing:
    """A client whose call number `at` fails, as AWS fails; and `times` of that name from there."""

    def __init__(self, client, at=None, *, times=1):
        self.client, self.at, self.times, self.calls = client, at, times, []

    def __getattr__(self, name):
        return self._failing(name, getattr(self.client, name))

    def get_paginator(self, name):
        """Its pages are a call like any other."""
        paginator = self.client.get_paginator(name)
        return SimpleNamespace(paginate=self._failing(name, paginator.paginate))

    def _failing(self, name, made):
        def call(**named):
            self.calls.append(name)
            begun = self.at is not None and len(self.calls) >= self.at
            if begun and self.times and name == self.calls[self.at - 1]:
                self.times -= 1
                error = {"Error": {"Code": "InternalError", "Message": "on our side"}}
                raise ClientError(error, name)
            return made(**named)

        return call


class Clock:
    """Time that passes by sleeping."""

    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


@pytest.fixture(scope="module")
def account():
    """An EC2 in memory with a subnet and a security group of the cluster."""
    with mock_aws():
        client = boto3.client("ec2", region_name="us-west-2")
        # Those of 650 public images, through which every look would go.
        ec2_backends[ACCOUNT]["us-west-2"].snapshots.clear()
        discovery = [{"Key": "karpenter.sh/discovery/demo", "Value": "demo"}]
        vpc = client.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = client.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        group = client.create_security_group(GroupName="c", Description="c", VpcId=vpc)["GroupId"]
        client.create_tags(Resources=[subnet, group], Tags=discovery)
        iam = boto3.client("iam", region_name="us-west-2")
        iam.create_instance_profile(InstanceProfileName="demo-snapshot-builder")
        yield client


@pytest.fixture
def ec2(account):
    """The same, with neither instances nor snapshots."""
    yield account
    if left := running(account):
        account.terminate_instances(InstanceIds=left)
    delete(account, listed(account, "demo"))


def builder(ec2, shell, clock=None):
    clock = clock or Clock()
    return SnapshotBuilder(
        ec2=ec2,
        ssm=shell,
        installation="demo",
        kubernetes="1.35",
        bottlerocket="1.64.0",
        say=lambda text: None,
        sleep=clock.sleep,
        now=clock.now,
    )


def running(ec2):
    """Instances that cost money."""
    found = ec2.describe_instances()["Reservations"]
    return [
        each["InstanceId"]
        for reservation in found
        for each in reservation["Instances"]
        if each["State"]["Name"] != "terminated"
    ]


def unfinished(ec2):
    """Snapshots of ours that no node can be started from."""
    return [each.id for each in listed(ec2, "demo") if not each.images]


def test_a_snapshot_is_what_nodes_look_for(ec2):
    """By our images' digests; the DaemonSets' images do not hide it."""
    shell = Shell()
    made = builder(ec2, shell).build([SERVE, PROXY])
    assert resolve(ec2, given=None, images={"serve-gpu": DIGEST}).id == made.id
    assert (running(ec2), unfinished(ec2)) == ([], [])


def test_the_disk_is_encrypted_and_three_times_the_images(ec2):
    """Layers, the same unpacked, and room."""
    assert volume_gib([SERVE]) == 27
    assert volume_gib([PROXY]) == 20
    builder(ec2, Shell()).build([SERVE, PROXY])
    [kept] = listed(ec2, "demo")
    assert kept.size_gib == 28
    [volume] = {
        each["VolumeSize"]: each
        for each in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        if each["SnapshotId"] == kept.id
    }.values()
    assert volume["Encrypted"]


def test_no_token_is_in_any_command(ec2):
    """The instance's role opens the registry; a command line stays in SSM's history."""
    shell = Shell()
    builder(ec2, shell).build([SERVE, PROXY])
    assert any("host-ctr" in command and DIGEST in command for command in shell.commands)
    assert not any(word in c for c in shell.commands for word in ("AWS:", "-u ", "password"))
    assert shell.commands[0].endswith("systemctl stop kubelet")


def test_a_daemon_set_finds_its_image_by_the_name_that_it_asks_for(ec2):
    """It was pulled by digest, and pods of add-ons name a tag."""
    shell = Shell()
    builder(ec2, shell).build([SERVE, PROXY])
    assert any(f"tag --force {PROXY.image} {PROXY.also}" in c for c in shell.commands)


def other(content):
    """The same image with another digest."""
    changed = content.image.replace(content.digest, "sha256:" + "c" * 64)
    return replace(content, image=changed)


def test_only_changed_digests_are_a_reason_to_build_again(ec2):
    """Of ours or of a DaemonSet; one that is known no more, or not now, is none."""
    shell = Shell()
    first = builder(ec2, shell).build([SERVE, PROXY])
    said = len(shell.commands)
    for known in ([SERVE, PROXY], [replace(SERVE, bytes=1), PROXY], [SERVE]):
        assert builder(ec2, shell).build(known) == first
    assert len(shell.commands) == said
    for changed in ([other(SERVE), PROXY], [SERVE, other(PROXY)], [PROXY]):
        assert builder(ec2, shell).existing(changed) is None


def test_a_snapshot_without_daemons_is_built_again_once_they_are_known(ec2):
    """It was made without a cluster to ask."""
    poor = builder(ec2, Shell()).build([SERVE])
    rich = builder(ec2, Shell()).build([SERVE, PROXY])
    assert rich.id != poor.id
    assert {each.id: each.daemons for each in listed(ec2, "demo")} == {
        poor.id: {},
        rich.id: {"kube-proxy": OTHER},
    }


@pytest.mark.parametrize("part", ["stop kubelet", "host-ctr", "tag --force", "check"])
def test_a_command_that_fails_on_the_instance_leaves_nothing(ec2, part):
    """And the message is what the instance said."""
    shell = Shell()
    shell.failing = part
    with pytest.raises(SnapshotFailed, match="no space left on device"):
        builder(ec2, shell).build([SERVE, PROXY])
    assert (running(ec2), listed(ec2, "demo")) == ([], [])


def test_an_image_that_is_not_wholly_there_is_no_snapshot(ec2):
    """Layers may be missing although the pull said nothing."""
    shell = Shell()
    shell.whole = False
    with pytest.raises(SnapshotFailed, match="serve-gpu is not wholly on the volume"):
        builder(ec2, shell).build([SERVE, PROXY])
    assert (running(ec2), listed(ec2, "demo")) == ([], [])


@pytest.mark.parametrize("lost", [PROXY.image, PROXY.also], ids=["image", "name"])
def test_a_daemon_that_is_not_there_by_both_names_is_no_snapshot(ec2, lost):
    """The kubelet would not find it by the name in the pod, and pull it after all."""
    shell = Shell()
    shell.lost = lost
    with pytest.raises(SnapshotFailed, match=f"kube-proxy is not wholly .*: {lost} is not in the"):
        builder(ec2, shell).build([SERVE, PROXY])
    assert (running(ec2), listed(ec2, "demo")) == ([], [])


def test_an_instance_that_never_reaches_ssm_is_given_up(ec2):
    """With what it may lack."""
    shell = Shell()
    shell.online = False
    with pytest.raises(SnapshotFailed, match="has not reached SSM after 600 s"):
        builder(ec2, shell).build([SERVE])
    assert running(ec2) == []


def calls_of_a_build(ec2):
    """Names of all calls of EC2, in their order, and how many come before there is an instance."""
    counted = Failing(ec2)
    builder(counted, Shell()).build([SERVE, PROXY])
    delete(ec2, listed(ec2, "demo"))
    return counted.calls, counted.calls.index("run_instances") + 1


def test_a_call_that_fails_before_there_is_an_instance_ends_the_build(ec2):
    """Nothing is lost by that, and nothing is left."""
    calls, first = calls_of_a_build(ec2)
    for at, name in enumerate(calls[:first], start=1):
        with pytest.raises(RecordsError):
            builder(Failing(ec2, at), Shell()).build([SERVE, PROXY])
        assert (running(ec2), listed(ec2, "demo")) == ([], []), name


def test_no_single_call_that_fails_later_throws_half_an_hour_away(ec2):
    """Nor five in a row; what EC2 has just made it may not know a moment later."""
    calls, first = calls_of_a_build(ec2)
    later = list(enumerate(calls, start=1))[first:]
    assert {
        "stop_instances",
        "describe_instances",
        "create_snapshot",
        "describe_snapshots",
        "create_tags",
        "terminate_instances",
    } == {name for _, name in later}
    for at, name in later:
        made = builder(Failing(ec2, at, times=5), Shell()).build([SERVE, PROXY])
        assert [each.id for each in listed(ec2, "demo")] == [made.id], name
        assert (running(ec2), unfinished(ec2)) == ([], []), name
        delete(ec2, listed(ec2, "demo"))


def test_an_outage_ends_the_build_and_the_next_one_removes_what_could_not_be_removed(ec2):
    """Six times in a row is more than a hiccup."""
    calls, first = calls_of_a_build(ec2)
    last = {name: at for at, name in enumerate(calls, start=1) if at > first}
    # The last look at snapshots is for doubles, and a build is no worse for its silence.
    last["describe_snapshots"] = calls.index("create_snapshot") + 2
    for name, at in last.items():
        with pytest.raises(RecordsError):
            builder(Failing(ec2, at, times=6), Shell()).build([SERVE, PROXY])
        if name != "terminate_instances":
            assert running(ec2) == [], name
            assert listed(ec2, "demo") == [], name
        builder(ec2, Shell()).clear()
        assert (running(ec2), unfinished(ec2)) == ([], []), name
        delete(ec2, listed(ec2, "demo"))


class Deaf(Failing):
    """An EC2 that makes the snapshot, and whose answer is lost: whoever asks again gets another."""

    def create_snapshot(self, **named):
        self.client.create_snapshot(**named)
        return self._failing("create_snapshot", self.client.create_snapshot)(**named)


@pytest.mark.parametrize("times", [0, 1, 6])
def test_a_snapshot_that_was_made_twice_is_there_once(ec2, times):
    """EC2 has no token for it; and none is there, if the build gave up."""
    calls, _ = calls_of_a_build(ec2)
    deaf = Deaf(ec2, calls.index("create_snapshot") + 1, times=times)
    if times < 6:
        made = [builder(deaf, Shell()).build([SERVE, PROXY]).id]
    else:
        made = []
        with pytest.raises(RecordsError):
            builder(deaf, Shell()).build([SERVE, PROXY])
    assert [each.id for each in listed(ec2, "demo")] == made


def test_no_single_silence_of_ssm_throws_a_build_away(ec2):
    """Nor five in a row, of whatever call while images are pulled."""
    counted = Failing(Shell())
    builder(ec2, counted).build([SERVE, PROXY])
    delete(ec2, listed(ec2, "demo"))
    begun = counted.calls.index("describe_instance_information")
    for at, name in list(enumerate(counted.calls, start=1))[begun:]:
        builder(ec2, Failing(Shell(), at, times=5)).build([SERVE, PROXY])
        assert len(listed(ec2, "demo")) == 1, name
        delete(ec2, listed(ec2, "demo"))


def test_the_host_is_tried_for_two_minutes(ec2):
    """SSM is online before the container is by which the host is reached."""
    shell = Shell()
    shell.failing, shell.failures = "stop kubelet", 20
    builder(ec2, shell).build([SERVE, PROXY])
    assert sum("stop kubelet" in command for command in shell.commands) == 21
    delete(ec2, listed(ec2, "demo"))
    clock, shell.failures = Clock(), 1000
    with pytest.raises(SnapshotFailed, match="no space left on device"):
        builder(ec2, shell, clock).build([SERVE, PROXY])
    assert clock.time == 120


def test_more_images_are_verified_than_ssm_shows_of_one_command(ec2):
    """It shows 24,000 characters, and what is beyond was taken for missing."""
    place = "602401143452.dkr.ecr.us-west-2.amazonaws.com/" + "eks/" * 150
    many = [
        Content(name=f"daemon-{n}", image=f"{place}{n}@{OTHER}", bytes=1, ours=False)
        for n in range(40)
    ]
    made = builder(ec2, Shell([SERVE, *many])).build([SERVE, *many])
    assert [each.id for each in listed(ec2, "demo")] == [made.id]


def test_what_a_killed_build_left_is_removed_by_the_next(ec2):
    """It could not clean up after itself."""
    tags = [{"Key": BUILD_TAG, "Value": "demo"}]
    made = ec2.run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    left = made["Instances"][0]["InstanceId"]
    builder(ec2, Shell()).build([SERVE, PROXY])
    assert left not in running(ec2)


def test_prune_keeps_the_newest_and_what_is_in_use(ec2):
    """And says nothing of other installations' snapshots."""
    digests = [f"sha256:{number:064x}" for number in range(4)]
    made = []
    for digest in digests:
        content = Content(name="serve-gpu", image=f"registry/serve@{digest}", bytes=1)
        volume = ec2.create_volume(AvailabilityZone="us-west-2a", Size=1)["VolumeId"]
        tags = [
            {"Key": BUILD_TAG, "Value": "demo"},
            {"Key": IMAGE_TAG + content.name, "Value": content.digest},
        ]
        made.append(
            ec2.create_snapshot(
                VolumeId=volume, TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}]
            )["SnapshotId"]
        )
    found = listed(ec2, "demo")
    used = found[-1].id
    going = superfluous(found, keep=2, used=[used])
    assert [each.id for each in going] == [found[2].id]
    assert delete(ec2, going) == [found[2].id]
    assert listed(ec2, "other") == []


def test_the_pinned_bottlerocket_is_the_one_of_the_node_classes():
    """A newer one may lay its volume out otherwise."""
    assert bottlerocket_version() == "1.64.0"
