"""What the steps are made of, without an account and without a cluster."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.stub import Stubber

from darkroom.deploy.access import forwarding
from darkroom.deploy.adoption import Adoption
from darkroom.deploy.errors import NotReady, ProgramFailed, Unfit
from darkroom.deploy.images import fingerprint
from darkroom.deploy.models import Models
from darkroom.deploy.options import Options
from darkroom.deploy.snapshot_step import kubernetes_version
from darkroom.deploy.terraform import explained, unknown_to_state
from darkroom.deploy.token import token
from darkroom.deploy.wanted import Wanted
from darkroom.emulator import client
from records.errors import Unavailable

LOCKED = """
╷
│ Error: Error acquiring the state lock
│
│ Error message: operation error S3: PutObject, https response error StatusCode: 412
│ Lock Info:
│   ID:        6f0c2b0e-8f26-5d4a-0b0b-3a5c9e1d2f44
│   Path:      demo-111122223333-us-west-2-tfstate/terraform.tfstate
│   Operation: OperationTypeApply
│   Who:       ada@laptop
│   Version:   1.11.4
│   Created:   2026-11-26 02:00:00.1 +0000 UTC
│   Info:
╵
"""
EXISTS = """
╷
│ Error: creating IAM Role (demo-api): operation error IAM: CreateRole, EntityAlreadyExists: there
│
│   with aws_iam_role.this["api"],
│   on identity.tf line 175, in resource "aws_iam_role" "this":
╵
╷
│ Error: creating S3 Bucket (demo-outputs): BucketAlreadyOwnedByYou
│
│   with aws_s3_bucket.this["outputs"],
│   on storage.tf line 13, in resource "aws_s3_bucket" "this":
╵
╷
│ Error: creating EC2 VPC Endpoint: api error RouteAlreadyExists: route table rtb-1 already has
│
│   with aws_vpc_endpoint.gateway["s3"],
│   on network.tf line 150, in resource "aws_vpc_endpoint" "gateway":
╵
╷
│ Error: creating VPC: VpcLimitExceeded
│
│   with aws_vpc.this[0],
│   on network.tf line 3, in resource "aws_vpc" "this":
╵
"""


def test_a_lock_is_explained_and_breaking_it_is_left_to_a_person():
    """Who has it, since when, what to look at first, and the command."""
    text = explained(LOCKED)
    assert "ada@laptop began Apply at 2026-11-26 02:00:00.1 +0000 UTC" in text
    assert "If that Terraform still runs, wait for it" in text
    assert text.endswith("--unlock 6f0c2b0e-8f26-5d4a-0b0b-3a5c9e1d2f44")


def test_names_that_are_taken_are_told_from_other_failures():
    """A quota is not something to take over, nor is a route of somebody else's endpoint."""
    assert unknown_to_state(EXISTS) == [
        'aws_iam_role.this["api"]',
        'aws_s3_bucket.this["outputs"]',
    ]


def test_what_a_killed_terraform_made_is_imported_by_the_names_of_the_plan():
    """As import blocks: one plan takes over all of it."""
    plan = planned(
        ('aws_iam_role.this["api"]', "aws_iam_role", {"name": "demo-api"}),
        ("aws_eks_node_group.system", "aws_eks_node_group",
         {"cluster_name": "demo", "node_group_name": "system"}),
    )  # fmt: skip
    adoption = Adoption.of(
        ['aws_iam_role.this["api"]', "aws_eks_node_group.system"], plan, connect=None
    )
    assert json.loads(adoption.blocks())["import"] == [
        {"to": 'aws_iam_role.this["api"]', "id": "demo-api"},
        {"to": "aws_eks_node_group.system", "id": "demo:system"},
    ]


def test_what_has_no_name_of_its_own_is_left_to_a_person():
    """With its address."""
    plan = planned(("aws_vpc.this", "aws_vpc", {}))
    with pytest.raises(ProgramFailed, match=r"aws_vpc\.this is there"):
        Adoption.of(["aws_vpc.this"], plan, connect=None)


def planned(*resources):
    found = [{"address": a, "type": t, "values": v} for a, t, v in resources]
    return {"planned_values": {"root_module": {"resources": found}}}


def test_the_command_that_goes_on_asks_for_the_same():
    """Options that were given are in it, and those that were taken back."""
    wanted = Wanted(
        name="demo",
        region="eu-west-1",
        build_snapshot=True,
        said=Options.given(overlay="prod", bucket="", admin_cidr=["192.0.2.1/32"]),
    )
    assert wanted.command("deploy") == (
        "darkroom deploy --name demo --region eu-west-1 --overlay prod --bucket '' "
        "--admin-cidr 192.0.2.1/32 --build-snapshot"
    )
    told = Wanted(name="demo", region="eu-west-1", admin_cidrs=("192.0.2.1/32",))
    assert told.command("destroy") == (
        "darkroom destroy --name demo --region eu-west-1 --admin-cidr 192.0.2.1/32"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "Demo"}, "lower-case"),
        ({"overlay": "test"}, "dev, prod"),
        ({"snapshot": "snap-1", "build_snapshot": True}, "not both"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(given, said):
    """Before anything is asked of AWS."""
    with pytest.raises(Unfit, match=said):
        Wanted(**({"name": "demo", "region": "us-west-2"} | given))


def test_the_state_bucket_is_called_after_name_account_and_region():
    """Names of buckets are one namespace for the whole world."""
    wanted = Wanted(name="demo", region="us-west-2")
    assert wanted.state_bucket("111122223333") == "demo-111122223333-us-west-2-tfstate"


def test_terraform_is_given_only_what_was_said():
    """The rest is the overlay's, or the module's default."""
    assert Wanted(name="demo", region="us-west-2").variables() == {
        "name": "demo",
        "region": "us-west-2",
    }
    assert Wanted(name="demo", region="us-west-2", bucket="weights").variables()[
        "models_bucket"
    ] == "weights"  # fmt: skip


def test_a_token_is_a_signed_question_that_names_the_cluster():
    """What EKS takes from kubectl; no program of AWS is needed for it."""
    made = token(client("http://127.0.0.1:9", "sts"), "demo")
    text = made.removeprefix("k8s-aws-v1.")
    url = urlsplit(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
    query = parse_qs(url.query)
    assert query["Action"] == ["GetCallerIdentity"]
    assert query["X-Amz-SignedHeaders"] == ["host;x-k8s-aws-id"]
    assert query["X-Amz-Expires"] == ["60"]
    assert query["X-Amz-Date"][0] <= datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


@pytest.mark.parametrize(
    ("target", "service", "url"),
    [
        ("ui", "service/ui", "http://127.0.0.1:7860"),
        ("dashboard", "service/demo-head-svc", "http://127.0.0.1:8265"),
        ("serve", "service/demo-serve-svc", "http://127.0.0.1:8000"),
    ],
)
def test_what_is_opened_is_open_on_this_machine_only(target, service, url):
    """By a port of loopback."""
    arguments, address = forwarding(target, "demo", None)
    assert (service in arguments, "127.0.0.1" in arguments, address) == (True, True, url)


def test_another_source_is_another_image(tmp_path):
    """And the same sources are the same, wherever they lie."""
    for place in ("one", "two"):
        folder = tmp_path / place
        (folder / "jobs").mkdir(parents=True)
        (folder / "jobs/job.py").write_text("x = 1\n")
    first = fingerprint(tmp_path / "one")
    assert first == fingerprint(tmp_path / "two")
    (tmp_path / "two/jobs/job.py").write_text("x = 2\n")
    assert first != fingerprint(tmp_path / "two")


def test_a_model_that_cannot_be_sent_is_an_outage_and_no_traceback(tmp_path):
    """boto3's upload of a file by its name would raise an error of a kind of its own."""
    (tmp_path / "models/tiny").mkdir(parents=True)
    (tmp_path / "models/tiny/model_index.json").write_text("{}")
    s3 = client("http://127.0.0.1:9", "s3")
    with Stubber(s3) as stub:
        stub.add_client_error("head_object", "404")
        stub.add_client_error("put_object", "AccessDenied")
        model = Models(s3=s3, bucket="weights", paths=["models/tiny"], root=tmp_path)
        with pytest.raises(Unavailable, match=r"models/tiny/model_index\.json: AccessDenied"):
            model.apply()


def test_a_model_of_ones_own_is_asked_for_by_where_it_has_to_be(tmp_path):
    """A folder without an index is no model. The bucket is made by the same deploy."""
    (tmp_path / "models/sdxl").mkdir(parents=True)
    s3 = client("http://127.0.0.1:9", "s3")
    models = Models(s3=s3, bucket="weights", paths=["models/sdxl"], root=tmp_path)
    looked = {"Bucket": "weights", "Prefix": "models/sdxl/model_index.json", "MaxKeys": 1}
    with Stubber(s3) as stub:
        stub.add_response("list_objects_v2", {"KeyCount": 0}, looked)
        wanted = r"models/sdxl: neither .*aws s3 sync FOLDER s3://weights/models/sdxl$"
        with pytest.raises(NotReady, match=wanted):
            models.apply()
        stub.add_response("list_objects_v2", {"KeyCount": 1}, looked)
        assert models.check().done


def test_a_model_where_no_pod_would_see_it_is_refused(tmp_path):
    """The bucket is mounted by its folder `models`."""
    s3 = client("http://127.0.0.1:9", "s3")
    models = Models(s3=s3, bucket="weights", paths=["weights/sdxl"], root=tmp_path)
    assert not models.check().done
    with pytest.raises(NotReady, match="weights/sdxl: what pods see of the bucket is models/"):
        models.apply()


def test_the_version_of_kubernetes_is_read_where_terraform_has_it():
    """One place says which; the snapshot's system is made for it."""
    module = Path(__file__).resolve().parents[2] / "infra/terraform"
    assert kubernetes_version(module) == "1.35"
