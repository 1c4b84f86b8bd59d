"""The data files: the table's definition, and the catalogue against what serves it."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs.catalogue import Catalogue
from jobs.inputs import TextToImage
from jobs.job import Job
from jobs.uid import new_uid
from records.record import FLAG, KEPT_S, new_item
from records.table import definitions, index_keys
from serve_app import scaling

ROOT = Path(__file__).resolve().parents[2]
DAY_S = 24 * 3600
#: What SQS keeps a message at most.
SQS_MAX_RETENTION_S = 14 * DAY_S
TABLE = definitions()["jobs"]


@pytest.fixture
def job():
    """A job that was just posted."""
    uid = new_uid()
    return Job(
        uid=uid,
        id=uid,
        runtime="demo",
        model="tiny",
        input=TextToImage(prompt="a lighthouse"),
        prefix="default",
        created_at=datetime(2026, 11, 21, tzinfo=UTC),
    )


def test_records_are_kept_for_a_month_and_longer_than_any_message():
    """A late message always finds its record."""
    assert KEPT_S >= 30 * DAY_S
    assert KEPT_S > SQS_MAX_RETENTION_S


def test_the_time_to_live_is_the_attribute_that_records_have(job):
    """DynamoDB deletes by it; a typing error would keep everything for ever."""
    item = new_item(job, job.encode(), fingerprint="f", republish_at=0)
    attribute = TABLE["TimeToLive"]["AttributeName"]
    assert TABLE["TimeToLive"]["Enabled"] is True
    assert item[attribute] == int(job.created_at.timestamp()) + KEPT_S


def test_the_listing_is_by_tenant_and_time():
    """Newest first is a query backwards."""
    assert index_keys("jobs", "by-tenant") == ("tenant", "created_at")


def test_the_indexes_of_what_is_to_do_are_sparse(job):
    """A job that was just accepted is due and unpublished, and not unannounced."""
    item = new_item(job, job.encode(), fingerprint="f", republish_at=5)
    present = {}
    for index in ("due", "unpublished", "unannounced"):
        partition, sort = index_keys("jobs", index)
        present[index] = item.get(partition) == FLAG and sort in item
    assert present == {"due": True, "unpublished": True, "unannounced": False}


def test_every_key_of_table_and_indexes_is_declared_once():
    """DynamoDB refuses an undeclared attribute, and one declared in vain."""
    schemas = [TABLE["KeySchema"]]
    schemas += [index["KeySchema"] for index in TABLE["GlobalSecondaryIndexes"]]
    used = {key["AttributeName"] for schema in schemas for key in schema}
    declared = [each["AttributeName"] for each in TABLE["AttributeDefinitions"]]
    assert sorted(declared) == sorted(used)


def test_the_table_is_paid_by_the_call():
    """An idle installation pays nothing for it."""
    assert TABLE["BillingMode"] == "PAY_PER_REQUEST"


def test_the_committed_catalogue_is_valid():
    """What API, bridge and Serve read."""
    catalogue = Catalogue.from_yaml((ROOT / "runtimes.yaml").read_text("utf-8"))
    for runtime in catalogue.runtimes.values():
        for model in runtime.models.values():
            defaults, limits = model.defaults, model.limits
            assert limits.min_side <= defaults.width <= limits.max_side
            assert limits.min_side <= defaults.height <= limits.max_side
            assert defaults.width * defaults.height <= limits.max_pixels
            assert defaults.num_inference_steps <= limits.max_num_inference_steps
            assert defaults.guidance_scale <= limits.max_guidance_scale


def test_the_ingress_holds_all_that_the_replicas_admit():
    """Serve's default of 5 would cap the whole system."""
    catalogue = Catalogue.from_yaml((ROOT / "runtimes.yaml").read_text("utf-8"))
    for runtime in catalogue.runtimes.values():
        replicas = runtime.replicas
        options = scaling.ingress_options(replicas)
        most = replicas.max * replicas.admit_window
        assert scaling.INGRESS_MARGIN > 0
        assert options["max_ongoing_requests"] >= most + scaling.INGRESS_MARGIN
        assert options["ray_actor_options"]["num_cpus"] == 0


def test_every_model_that_the_catalogue_promises_is_here():
    """A fresh clone has it: nothing is downloaded."""
    tracked = subprocess.run(
        ["git", "ls-files", "models"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    catalogue = Catalogue.from_yaml((ROOT / "runtimes.yaml").read_text())
    for runtime in catalogue.runtimes.values():
        for model in runtime.models.values():
            index = f"{model.path}/model_index.json"
            assert index in tracked
