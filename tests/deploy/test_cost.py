"""The cost page against plans of the committed environments."""

import json
import re
from dataclasses import replace

import pytest
from terraform import MODULE, Terraform, TerraformFailed, aws_environ

from darkroom.cost import Load, idle, variable
from darkroom.cost_page import inventory, page
from darkroom.inventory import Inventory
from darkroom.prices import Prices, total

ROOT = MODULE.parents[1]


@pytest.fixture(scope="module")
def module(tmp_path_factory, terraform_program, emulator, variables):
    """The module with no variables but the zip, which costs nothing."""
    emulator.client("s3").create_bucket(Bucket="state")
    copy = Terraform.copied(
        tmp_path_factory.mktemp("cost"),
        aws_environ(emulator.address),
        lambda_package=variables["lambda_package"],
    )
    try:
        copy.init(bucket="state", key="cost")
    except TerraformFailed as failed:
        last = " ".join(str(failed).split())[-200:]
        pytest.skip(f"terraform cannot get its provider: ... {last}")
    return copy


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_committed_inventory_is_that_of_a_plan(module, environment):
    """What costs money while idle, counted."""
    plan = module.plan(f"-var-file=envs/{environment}.tfvars")
    assert Inventory.of_plan(plan) == inventory(environment)


def test_in_deep_sleep_only_the_system_node_is_another():
    """As sleep.tfvars says, over dev.tfvars."""
    text = (MODULE / "envs/sleep.tfvars").read_text()
    settings = re.findall(r"^(\w+) += (.*)$", text, flags=re.MULTILINE)
    assert [name for name, _ in settings] == ["system_nodes"]
    kind = re.search(r'instance_type = "(.*?)"', settings[0][1])[1]
    assert inventory("sleep") == replace(inventory("dev"), nodes={kind: 1})


def test_an_idle_month_is_within_its_limits():
    """175 USD awake, 150 in deep sleep."""
    prices = Prices.listed()
    assert total(idle(inventory("dev"), prices, head_awake=True)) <= 175
    assert total(idle(inventory("sleep"), prices, head_awake=False)) <= 150


def test_a_load_balancer_is_counted_only_where_there_is_one():
    """By the hour, with its addresses if it is public, and the page's password."""
    prices, bare = Prices.listed(), inventory("dev")
    month = {
        mode: total(idle(bare.exposed(mode), prices, head_awake=True))
        for mode in ("none", "internal", "public")
    }
    assert month["none"] == total(idle(bare, prices, head_awake=True))
    within = 730 * (prices.of("alb_hour") + 0.1 * prices.of("alb_lcu_hour"))
    assert month["internal"] - month["none"] == pytest.approx(within + prices.of("secret_month"))
    addresses = 3 * 730 * prices.of("public_ipv4_hour")
    assert month["public"] - month["internal"] == pytest.approx(addresses)


def test_the_committed_page_is_what_make_cost_writes():
    """From the inventories and the price table."""
    assert (ROOT / "docs/cost.md").read_text() == page(Prices.listed())


def test_a_spot_gpu_is_cheaper_and_twice_the_images_cost_twice_the_gpu():
    """The load decides, and the waiting does not grow with it."""
    prices = Prices.listed()
    once, twice = Load(), Load(images=2e6)
    assert twice.gpu_hours == 2 * once.gpu_hours
    assert twice.waiting_hours == once.waiting_hours
    spot = total(variable(once, prices))
    assert spot < total(variable(replace(once, spot=False), prices))


def test_all_that_the_guidance_leaves_out_is_counted():
    """Its two tables know none of these."""
    prices = Prices.listed()
    lines = idle(inventory("dev"), prices, head_awake=True) + variable(Load(), prices)
    names = json.dumps([line.name for line in lines if line.usd > 0])
    for word in (
        *("NAT", "disks", "logs", "KMS", "snapshot fetched at each cold start"),
        *("comes up or cools down", "traces", "images to clients", "DynamoDB"),
    ):
        assert word in names, word
