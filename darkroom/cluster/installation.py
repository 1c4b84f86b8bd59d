"""What Terraform has made, as its outputs tell."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from darkroom.cluster.errors import NotRenderable
from darkroom.cluster.exposed import Exposed
from darkroom.names import queues_of
from jobs.catalogue import Catalogue

#: Terraform's name of an architecture -> Kubernetes's.
_ARCHITECTURES = {"arm64": "arm64", "x86_64": "amd64"}


@dataclass(frozen=True, kw_only=True)
class Installation:
    """One installation on AWS."""

    name: str
    region: str
    api_url: str
    node_role: str
    models_bucket: str
    interruption_queue: str
    #: Of the system group, as Kubernetes calls it.
    architecture: str
    #: Group of variables -> variable -> value.
    app_config: Mapping[str, Mapping[str, str]]
    #: The load balancer, if there is one.
    exposure: Exposed | None = None
    #: The VPC's own networks, if services of AWS may have addresses in them.
    private_cidrs: tuple[str, ...] = ()

    @classmethod
    def from_outputs(cls, path: Path) -> Self:
        """From a file with `terraform output -json`; `NotRenderable` names what it lacks."""
        try:
            outputs = json.loads(path.read_text("utf-8"))
            cluster, config = outputs["cluster"]["value"], outputs["app_config"]["value"]
            return cls(
                name=cluster["name"],
                region=cluster["region"],
                api_url=outputs["api_url"]["value"],
                node_role=cluster["karpenter_node_role"],
                models_bucket=cluster["models_bucket"],
                interruption_queue=cluster["interruption_queue"],
                architecture=_ARCHITECTURES[cluster["system_architecture"]],
                app_config=config,
                exposure=Exposed(**found) if (found := cluster.get("exposure")) else None,
                private_cidrs=tuple(cluster.get("private_cidrs", ())),
            )
        except ValueError as error:
            raise NotRenderable(f"{path} is not JSON: {error}") from error
        except (KeyError, TypeError) as missing:
            raise NotRenderable(f"{path} is no `terraform output -json`: no {missing}") from missing

    @classmethod
    def stand_in(cls, catalogue: Catalogue) -> Self:
        """One that is nowhere, with all that Terraform would name: for a check without AWS."""
        queues = "https://sqs.us-west-2.amazonaws.com/111122223333/darkroom-"
        topics = "arn:aws:sns:us-west-2:111122223333:darkroom-"
        config: dict[str, dict[str, str]] = {
            "shared": {
                "DARKROOM_JOB_TABLE": "darkroom-jobs",
                "DARKROOM_BUCKET": "darkroom-outputs-111122223333-us-west-2",
                "DARKROOM_JOBS_TOPIC_ARN": topics + "jobs",
                "DARKROOM_NOTICES_TOPIC_ARN": topics + "notices",
                "DARKROOM_QUEUE_RETENTION_S": "345600",
            },
            "webhooks": {"DARKROOM_WEBHOOKS_QUEUE_URL": queues + "webhooks"},
        }
        for runtime in catalogue.runtimes:
            own = {
                "DARKROOM_RUNTIME": runtime,
                "DARKROOM_PARKED_QUEUE_URL": f"{queues}{runtime}-parked",
            }
            for queue in queues_of(runtime):
                config[f"bridge-{queue}"] = own | {
                    "DARKROOM_QUEUE_URL": queues + queue,
                    "DARKROOM_VISIBILITY_S": "120",
                    "DARKROOM_INPUT_BUCKETS": "",
                }
            config[f"dead-letters-{runtime}"] = own | {
                "DARKROOM_QUEUE_URL": queues + runtime,
                "DARKROOM_DEAD_LETTERS_QUEUE_URL": f"{queues}{runtime}-dead-letters",
            }
        return cls(
            name="darkroom",
            region="us-west-2",
            api_url="https://api.invalid/v",
            node_role="darkroom-karpenter-node",
            models_bucket="darkroom-models-111122223333-us-west-2",
            interruption_queue="darkroom-interruptions",
            architecture="arm64",
            app_config=config,
        )

    @property
    def job_queues(self) -> list[str]:
        """URLs of the queues from which bridges take jobs."""
        bridges = [name for name in self.app_config if name.startswith("bridge-")]
        return [self.app_config[name]["DARKROOM_QUEUE_URL"] for name in bridges]

    def config(self, group: str) -> dict[str, Any]:
        """The variables of `group`, those for all processes among them."""
        if group not in self.app_config:
            raise NotRenderable(
                f"Terraform's outputs have no {group}: apply it with the same runtimes.yaml first"
            )
        return {**self.app_config["shared"], **self.app_config[group]}
