"""Which snapshot a GPU node's volume is made of."""

import pytest
from moto import mock_aws

from darkroom.cluster.errors import NoSnapshot
from darkroom.cluster.images import Images
from darkroom.cluster.render_command import chosen_snapshot
from darkroom.cluster.snapshot import IMAGE_TAG, resolve
from records.connect import connect
from records.errors import Unavailable

IMAGES = {"serve-gpu": "sha256:" + "1" * 64}


@pytest.fixture
def ec2(monkeypatch):
    """EC2, empty."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield connect("ec2", region_name="us-west-2", isolated=True)


def snapshot(ec2, images, *, size_gib=40):
    """A complete snapshot with these images."""
    volume = ec2.create_volume(AvailabilityZone="us-west-2a", Size=size_gib)
    tags = [{"Key": IMAGE_TAG + name, "Value": digest} for name, digest in images.items()]
    tagged = [{"ResourceType": "snapshot", "Tags": tags}] if tags else []
    made = ec2.create_snapshot(VolumeId=volume["VolumeId"], TagSpecifications=tagged)
    return made["SnapshotId"]


class Describing:
    """EC2's listing, with what an emulator cannot make: states, and times that differ."""

    def __init__(self, *snapshots):
        self.snapshots = snapshots

    def get_paginator(self, name):
        """Of one call only."""
        assert name == "describe_snapshots"
        return self

    def paginate(self, *, OwnerIds, Filters):  # noqa: N803  # boto3's names
        """Two pages, filtered by status as EC2 does."""
        assert OwnerIds == ["self"]
        assert {"Name": "status", "Values": ["completed"]} in Filters
        complete = [each for each in self.snapshots if each["State"] == "completed"]
        yield {"Snapshots": complete[:1]}
        yield {"Snapshots": complete[1:]}

    def describe_snapshots(self, *, SnapshotIds):  # noqa: N803  # boto3's names
        """By id, in whatever state."""
        found = [each for each in self.snapshots if each["SnapshotId"] in SnapshotIds]
        return {"Snapshots": found}


def described(identifier, at, state="completed"):
    """One of EC2's answers."""
    return {
        "SnapshotId": identifier,
        "StartTime": at,
        "State": state,
        "VolumeSize": 40,
        "Tags": [{"Key": IMAGE_TAG + name, "Value": digest} for name, digest in IMAGES.items()],
    }


def test_a_given_one_is_taken_with_its_size(ec2):
    """Whatever images it has: somebody has chosen it."""
    made = snapshot(ec2, {}, size_gib=80)
    found = resolve(ec2, given=made, images=IMAGES)
    assert (found.id, found.size_gib) == (made, 80)


def test_one_with_exactly_these_images_is_found(ec2):
    """Not one without, not one with another digest, not one with an image more."""
    snapshot(ec2, {})
    snapshot(ec2, {"serve-gpu": "sha256:" + "2" * 64})
    snapshot(ec2, IMAGES | {"other": "sha256:" + "3" * 64})
    made = snapshot(ec2, IMAGES)
    assert resolve(ec2, given=None, images=IMAGES).id == made


def test_the_newest_complete_one_is_taken():
    """A newer one that is still being made would stop every node from starting."""
    ec2 = Describing(
        described("snap-new", 2), described("snap-old", 1), described("snap-later", 3, "pending")
    )
    assert resolve(ec2, given=None, images=IMAGES).id == "snap-new"


def test_without_one_there_is_none_and_a_person_is_told(ec2, capsys):
    """Nodes then pull their images; that is slower, and not an error."""
    found = chosen_snapshot(lambda: ec2, None, Images.stand_ins())
    assert found is None
    assert "pull" in capsys.readouterr().err


def test_images_by_tag_have_no_snapshot(ec2):
    """A tag does not say what is in a snapshot."""
    assert resolve(ec2, given=None, images={}) is None


def test_who_wants_none_asks_nobody():
    """Not even for a client."""

    def client():
        raise AssertionError

    assert chosen_snapshot(client, "none", Images.stand_ins()) is None


def test_a_given_one_that_is_not_complete_is_refused():
    """By name, with what it is instead."""
    with pytest.raises(NoSnapshot, match="snap-later is pending"):
        resolve(Describing(described("snap-later", 3, "pending")), given="snap-later", images={})


def test_a_given_one_that_is_not_there_is_refused(ec2):
    """EC2 answers with an error of its own."""
    with pytest.raises((NoSnapshot, Unavailable), match=r"(?i)snap"):
        resolve(ec2, given="snap-0123456789abcdef0", images=IMAGES)
