"""What Terraform deploys is what the code says: routes, variables, times, tables."""

import json
import re
from pathlib import Path

import pytest

from api.gateway import gateway_document
from api.settings import ApiSettings
from bridge.settings import BridgeSettings
from darkroom.deploy.terraform import BESIDE
from jobs.environment import BadSetting
from records.table import definitions

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "infra/terraform"
#: Variables that a process is given by its manifest, because Terraform cannot know them.
FROM_THE_MANIFEST = {"DARKROOM_SERVE_URL"}


class Recorded(dict):
    """An environment that notes which variables were asked for."""

    def __init__(self, *environments):
        super().__init__()
        for environment in environments:
            self.update(environment)
        self.asked = set()

    def get(self, name, default=None):
        """The value, noted."""
        self.asked.add(name)
        return super().get(name, default)


def config():
    """Group -> the variables of `app_config`, by name, as outputs.tf spells them."""
    text = (MODULE / "outputs.tf").read_text()
    groups = {}
    for group in ("shared_config", "bridge_config", "dead_letters_config", "webhooks_config"):
        block = text[text.index(f"{group} = {{") :]
        # To the first line that closes at the same depth.
        block = block[: block.index("\n  }\n")]
        groups[group] = set(re.findall(r"^ +(DARKROOM_\w+) +=", block, flags=re.MULTILINE))
    return groups


def environment(names):
    """A value for each variable, of the kind that its reader wants."""
    values = {
        "DARKROOM_RUNTIME": "demo",
        "DARKROOM_VISIBILITY_S": "120",
        "DARKROOM_QUEUE_RETENTION_S": "345600",
    }
    return {name: values.get(name, "x") for name in names}


def test_the_committed_body_of_the_rest_api_is_the_app(tmp_path):
    """`make openapi` writes it."""
    assert json.loads((MODULE / "openapi.json").read_text()) == gateway_document()


def test_terraform_fills_in_each_variable_of_the_body():
    """A new one would stop the plan."""
    body = (MODULE / "openapi.json").read_text()
    given = (MODULE / "api.tf").read_text()
    for name in set(re.findall(r"\$\{(\w+)\}", body)):
        assert re.search(rf"^ +{name} +=", given, flags=re.MULTILINE), name


def test_the_api_reads_what_terraform_gives_it():
    """All that it requires is given, and nothing is given that nobody reads."""
    given = config()["shared_config"]
    environ = Recorded(environment(given), {"DARKROOM_RUNTIMES": str(ROOT / "runtimes.yaml")})
    ApiSettings.from_env(environ)
    assert given <= environ.asked


def test_the_bridge_reads_what_terraform_gives_it():
    """With what the manifest adds it starts; without one of ours it names what is missing."""
    groups = config()
    given = groups["shared_config"] | groups["bridge_config"]
    environ = environment(given | FROM_THE_MANIFEST)
    environ["DARKROOM_RUNTIMES"] = str(ROOT / "runtimes.yaml")
    recorded = Recorded(environ)
    BridgeSettings.from_env(recorded)
    assert groups["bridge_config"] <= recorded.asked
    for name in FROM_THE_MANIFEST:
        with pytest.raises(BadSetting, match=name):
            BridgeSettings.from_env({key: value for key, value in environ.items() if key != name})


def test_the_other_workers_get_what_they_require():
    """Dead letters, sweeper and webhooks; the webhooks' keys are a secret, not an output."""
    groups = config()
    required = {
        "dead_letters": groups["dead_letters_config"],
        "sweeper": groups["webhooks_config"],
        "webhooks": groups["webhooks_config"] | {"DARKROOM_WEBHOOK_KEYS"},
    }
    for program, given in required.items():
        text = (ROOT / f"bridge/{program}.py").read_text()
        wanted = set(re.findall(r'required\([\w.]+, "(DARKROOM_\w+)"\)', text))
        assert wanted, program
        assert wanted <= given | groups["shared_config"], program
        assert given <= set(re.findall(r'"(DARKROOM_\w+)"', text)), program


def test_only_notices_that_ask_for_a_call_reach_the_webhooks_queue():
    """The attribute that a notice has is the one that both clouds filter by."""
    block = (MODULE / "messaging.tf").read_text()
    block = block[block.index('"aws_sns_topic_subscription" "webhooks"') :]
    attribute, value = re.search(r'jsonencode\(\{ (\w+) = \["(\w+)"\] \}\)', block).groups()
    assert f'{{"{attribute}": "{value}"}}' in (ROOT / "jobs/notice.py").read_text()
    assert f'policy={{"{attribute}": ["{value}"]}}' in (ROOT / "darkroom/cloud.py").read_text()


def test_the_queues_keep_a_message_as_long_as_the_api_thinks():
    """The API plans the second publication by it."""
    text = (MODULE / "messaging.tf").read_text()
    days = re.search(r"queue_retention_s = (\d+) \* 24 \* 3600", text)
    environ = environment(config()["shared_config"]) | {"DARKROOM_QUEUE_RETENTION_S": ""}
    environ["DARKROOM_RUNTIMES"] = str(ROOT / "runtimes.yaml")
    assert ApiSettings.from_env(environ).queue_retention_s == int(days[1]) * 24 * 3600


def test_the_heartbeat_fits_the_queues_visibility_timeout():
    """Three beats may fail before a message is visible again."""
    text = (MODULE / "messaging.tf").read_text()
    visibility_s = int(re.search(r"visibility_s += (\d+)", text)[1])
    environ = environment(config()["shared_config"] | config()["bridge_config"])
    environ |= {
        "DARKROOM_SERVE_URL": "http://serve",
        "DARKROOM_RUNTIMES": str(ROOT / "runtimes.yaml"),
        "DARKROOM_VISIBILITY_S": str(visibility_s),
    }
    assert BridgeSettings.from_env(environ).heartbeat_s < visibility_s / 3


def test_terraform_makes_its_tables_from_our_file():
    """The local stack reads the same one."""
    text = (MODULE / "storage.tf").read_text()
    assert 'jsondecode(file("${path.module}/../../records/tables.json"))' in text
    assert set(definitions()) == {"jobs", "keys"}


def test_what_the_module_reads_beside_itself_is_linked_with_it():
    """An adoption plans from a folder of links, and finds there what the module finds here."""
    texts = [path.read_text() for path in MODULE.glob("*.tf")]
    found = {name for text in texts for name in re.findall(r"\.\./\.\./([\w.-]+)", text)}
    assert found == set(BESIDE)


def test_the_lambda_answers_before_api_gateway_gives_up():
    """29 s are API Gateway's; the function ends a little earlier."""
    assert int(re.search(r"timeout_s = (\d+)", (MODULE / "api.tf").read_text())[1]) < 29
