"""A snapshot of a node's data volume that already holds the images.

The *standard* Bottlerocket on an ordinary instance: its NVIDIA variant waits for a GPU and never
reaches SSM without one, and the data volume's layout is the same. Images are pulled by
Bottlerocket's own `host-ctr`, which takes the instance's role to ECR: no token is in any command.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from darkroom.cluster.snapshot import Snapshot
from darkroom.deploy.content import Content, tagged, volume_gib
from darkroom.deploy.errors import SnapshotFailed
from darkroom.deploy.instance_shell import InstanceShell
from darkroom.deploy.patience import insisted
from darkroom.deploy.wanted import ROOT
from darkroom.names import discovery_tag
from records.errors import RecordsError, translated

#: On instance, volume and snapshot, from their first moment: whose build it is.
BUILD_TAG = "darkroom:snapshot-build"
_DATA = "/dev/xvdb"
_SYSTEM_GIB = 4
_INSTANCE = "m5.large"
_LOOK_S, _STATE_S, _SNAPSHOT_S = 10, 600, 5400
#: SSM is reached by the control container; the admin container, and the host, some time later.
_HOST_S = 120
#: Every account's own key for EBS: whoever may make volumes, as Karpenter, may use it through EC2.
_KEY = "alias/aws/ebs"
_USER_DATA = "[settings.host-containers.admin]\nenabled = true\n"
_CTR = "ctr -a /run/containerd/containerd.sock -n k8s.io images"
_PULL = (
    "/usr/bin/host-ctr --containerd-socket=/run/containerd/containerd.sock --namespace=k8s.io "
    "pull-image --registry-config=/etc/host-containers/host-ctr.toml --skip-if-image-exists=true "
    "--label=io.cri-containerd.image=managed --source="
)
_ALIAS = re.compile(r"bottlerocket@v(\d+\.\d+\.\d+)")


def bottlerocket_version(manifests: Path = ROOT / "manifests") -> str:
    """The release that the NodeClasses pin."""
    found = _ALIAS.search((manifests / "base/node-classes.yaml").read_text("utf-8"))
    if found is None:
        raise SnapshotFailed("manifests/base/node-classes.yaml pins no Bottlerocket")
    return found[1]


@dataclass(frozen=True, kw_only=True)
class SnapshotBuilder:
    """One build at a time for each installation."""

    ec2: Any
    ssm: Any
    installation: str
    kubernetes: str
    bottlerocket: str
    architecture: str = "x86_64"
    say: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic
    tags: Mapping[str, str] = field(default_factory=dict)

    def existing(self, contents: Sequence[Content]) -> Snapshot | None:
        """The newest complete snapshot with exactly these images of ours and all of these daemons.

        More daemons than these do no harm; and where they are not known, none is missed.
        """
        ours = {each.tag: each.digest for each in contents if each.ours}
        daemons = {each.tag: each.digest for each in contents if not each.ours}
        fitting = [
            each
            for each in self._snapshots()
            if tagged(each, ours=True) == ours
            and daemons.items() <= tagged(each, ours=False).items()
        ]
        if not fitting:
            return None
        newest = max(fitting, key=lambda each: each["StartTime"])
        return Snapshot(id=newest["SnapshotId"], size_gib=newest["VolumeSize"])

    def build(self, contents: Sequence[Content]) -> Snapshot:
        """Make one, unless there is one; whatever goes wrong, nothing of it is left."""
        if (found := self.existing(contents)) is not None:
            return found
        self.clear()
        size = volume_gib(contents)
        with self._instance(size) as instance:
            shell = InstanceShell(ssm=self.ssm, instance=instance, sleep=self.sleep, now=self.now)
            self.say(f"{instance}: waiting for SSM")
            shell.wait_online()
            self._fill(shell, contents)
            self._verify(shell, contents)
            self.say(f"{instance}: stopping")
            insisted(lambda: self._stop(instance), self.sleep)
            self._wait_state(instance, "stopped")
            return self._snapshot(instance, contents, size)

    def clear(self) -> None:
        """Remove what a build left that was killed: instances, and snapshots without their tags."""
        with translated("EC2 DescribeInstances"):
            found = self.ec2.describe_instances(
                Filters=[
                    self._mine(),
                    {
                        "Name": "instance-state-name",
                        "Values": ["pending", "running", "stopping", "stopped"],
                    },
                ]
            )
        left = [each["InstanceId"] for r in found["Reservations"] for each in r["Instances"]]
        if left:
            self.say(f"removing what an earlier build left: {', '.join(left)}")
            self._terminate(left)
        for snapshot in self._snapshots(complete=False):
            if not tagged(snapshot, ours=True):
                self._delete(snapshot["SnapshotId"])

    @contextmanager
    def _instance(self, size: int) -> Iterator[str]:
        instance = self._launch(size)
        try:
            yield instance
        finally:
            # Its volumes go with it.
            insisted(lambda: self._terminate([instance]), self.sleep)

    def _stop(self, instance: str) -> None:
        with translated("EC2 StopInstances"):
            self.ec2.stop_instances(InstanceIds=[instance])

    def _terminate(self, instances: Sequence[str]) -> None:
        with translated("EC2 TerminateInstances"):
            self.ec2.terminate_instances(InstanceIds=list(instances))

    def _launch(self, size: int) -> str:
        parameter = (
            f"/aws/service/bottlerocket/aws-k8s-{self.kubernetes}/{self.architecture}/"
            f"{self.bottlerocket}/image_id"
        )
        with translated(f"SSM GetParameter {parameter}"):
            image = self.ssm.get_parameter(Name=parameter)["Parameter"]["Value"]
        subnet, group = self._network()
        tags = [{"Key": key, "Value": value} for key, value in self._tags().items()]
        with translated("EC2 RunInstances"):
            made = self.ec2.run_instances(
                ImageId=image,
                InstanceType=_INSTANCE,
                MinCount=1,
                MaxCount=1,
                SubnetId=subnet,
                SecurityGroupIds=[group],
                IamInstanceProfile={"Name": f"{self.installation}-snapshot-builder"},
                UserData=_USER_DATA,
                MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
                BlockDeviceMappings=[
                    _disk("/dev/xvda", _SYSTEM_GIB),
                    _disk(_DATA, size, Iops=4000, Throughput=437),
                ],
                TagSpecifications=[
                    {"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")
                ],
            )
        return str(made["Instances"][0]["InstanceId"])

    def _network(self) -> tuple[str, str]:
        """A subnet and a security group of the cluster: they reach ECR and SSM."""
        ours = [{"Name": "tag-key", "Values": [discovery_tag(self.installation)]}]
        with translated("EC2 DescribeSubnets"):
            subnets = self.ec2.describe_subnets(Filters=ours)["Subnets"]
            groups = self.ec2.describe_security_groups(Filters=ours)["SecurityGroups"]
        if not subnets or not groups:
            raise SnapshotFailed(f"{self.installation} has no subnet or no security group yet")
        return str(subnets[0]["SubnetId"]), str(groups[0]["GroupId"])

    def _fill(self, shell: InstanceShell, contents: Sequence[Content]) -> None:
        # It would start pods of its own, and take away images that none of them uses.
        shell.run("systemctl stop kubelet", again_s=_HOST_S)
        for each in contents:
            self.say(f"{shell.instance}: pulling {each.name}")
            shell.run(_PULL + each.image)
            if each.also:
                shell.run(f"{_CTR} tag --force {each.image} {each.also}")

    def _verify(self, shell: InstanceShell, contents: Sequence[Content]) -> None:
        """Every layer there and unpacked, by containerd's own look at its content."""
        for each in contents:
            # One by one: of what a command prints SSM shows 24,000 characters, some 70 lines.
            names = " ".join(f"name=={name}" for name in each.names)
            listing = shell.run(f"{_CTR} check {names}")
            if (fault := each.fault_in(listing)) is not None:
                raise SnapshotFailed(f"{each.name} is not wholly on the volume: {fault}")

    def _snapshot(self, instance: str, contents: Sequence[Content], size: int) -> Snapshot:
        volume = self._data_volume(instance)
        digests = [{"Key": each.tag, "Value": each.digest} for each in contents]
        made = None
        try:
            made = insisted(lambda: self._begun(volume), self.sleep)
            self.say(f"{made}: waiting until it is complete")
            self._wait_complete(made)
            # Only now: a tag with a digest says that the whole image is in there.
            insisted(lambda: self._tag(str(made), digests), self.sleep)
        except BaseException:
            # What stopped us is more worth knowing than what then could not be deleted.
            with suppress(RecordsError):
                if made is not None:
                    self._delete(made)
                self._drop(volume, but=made)
            raise
        with suppress(RecordsError):
            self._drop(volume, but=made)
        return Snapshot(id=made, size_gib=size)

    def _data_volume(self, instance: str) -> str:
        disks = insisted(lambda: self._described(instance), self.sleep)["BlockDeviceMappings"]
        return next(str(d["Ebs"]["VolumeId"]) for d in disks if d["DeviceName"] == _DATA)

    def _begun(self, volume: str) -> str:
        tags = [{"Key": key, "Value": value} for key, value in self._tags().items()]
        with translated("EC2 CreateSnapshot"):
            made = self.ec2.create_snapshot(
                VolumeId=volume,
                Description=f"{self.installation}: container images",
                TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}],
            )
        return str(made["SnapshotId"])

    def _tag(self, snapshot: str, tags: Sequence[Mapping[str, str]]) -> None:
        with translated("EC2 CreateTags"):
            self.ec2.create_tags(Resources=[snapshot], Tags=tags)

    def _drop(self, volume: str, *, but: str | None) -> None:
        """CreateSnapshot knows no token: asked again, because it was silent, it makes another."""
        of_volume = {"Name": "volume-id", "Values": [volume]}
        with translated("EC2 DescribeSnapshots"):
            found = self.ec2.describe_snapshots(OwnerIds=["self"], Filters=[of_volume])
        for each in found["Snapshots"]:
            if each["SnapshotId"] != but:
                self._delete(each["SnapshotId"])

    def _wait_complete(self, snapshot: str) -> None:
        deadline = self.now() + _SNAPSHOT_S
        while True:
            found = insisted(lambda: self._progress(snapshot), self.sleep)
            if found["State"] == "completed":
                return
            if found["State"] == "error" or self.now() > deadline:
                raise SnapshotFailed(f"{snapshot} is {found['State']}, {found.get('Progress')}")
            self.sleep(_LOOK_S)

    def _progress(self, snapshot: str) -> dict[str, Any]:
        with translated("EC2 DescribeSnapshots"):
            [found] = self.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
        return dict(found)

    def _wait_state(self, instance: str, state: str) -> None:
        deadline = self.now() + _STATE_S
        while True:
            now = insisted(lambda: self._described(instance), self.sleep)["State"]["Name"]
            if now == state:
                return
            if now == "terminated" or self.now() > deadline:
                raise SnapshotFailed(f"{instance} is {now}, and should be {state}")
            self.sleep(_LOOK_S)

    def _described(self, instance: str) -> dict[str, Any]:
        with translated("EC2 DescribeInstances"):
            found = self.ec2.describe_instances(InstanceIds=[instance])
        return dict(found["Reservations"][0]["Instances"][0])

    def _delete(self, snapshot: str) -> None:
        with translated("EC2 DeleteSnapshot"):
            self.ec2.delete_snapshot(SnapshotId=snapshot)

    def _snapshots(self, *, complete: bool = True) -> list[dict[str, Any]]:
        filters = [self._mine()]
        if complete:
            filters.append({"Name": "status", "Values": ["completed"]})
        with translated("EC2 DescribeSnapshots"):
            pages = self.ec2.get_paginator("describe_snapshots").paginate(
                OwnerIds=["self"], Filters=filters
            )
            return [each for page in pages for each in page["Snapshots"]]

    def _mine(self) -> dict[str, Any]:
        return {"Name": f"tag:{BUILD_TAG}", "Values": [self.installation]}

    def _tags(self) -> dict[str, str]:
        own = {BUILD_TAG: self.installation, "darkroom:installation": self.installation}
        return {**self.tags, **own}


def _disk(device: str, size: int, **more: int) -> dict[str, Any]:
    ebs = {"VolumeSize": size, "VolumeType": "gp3", "Encrypted": True, "KmsKeyId": _KEY}
    return {"DeviceName": device, "Ebs": {**ebs, **more, "DeleteOnTermination": True}}
