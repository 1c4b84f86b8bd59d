"""The steps by which an installation is taken away, in order."""

from dataclasses import replace

from darkroom.deploy.cluster import Cluster
from darkroom.deploy.drain import DrainedJobs
from darkroom.deploy.endpoint import OpenedEndpoint
from darkroom.deploy.farewell import EndedNodes, EndedWork, StoppedIntake
from darkroom.deploy.leftovers import Leftovers
from darkroom.deploy.plan import Deployment
from darkroom.deploy.step import Step, Undoing


def removal(deployment: Deployment, cluster: Cluster | None) -> list[Step]:
    """From whatever there is to nothing; `cluster` if there is one."""
    name, connect, say = deployment.wanted.name, deployment.connect, deployment.journal.say
    operators = [Undoing(each) for each in reversed(deployment.operators())] if cluster else []
    # First: what follows would else close the intake, and stop at the first look at the cluster.
    endpoint = OpenedEndpoint(
        eks=connect("eks"),
        cluster=deployment.cluster,
        installation=name,
        cidrs=deployment.wanted.admin_cidrs,
    )
    # Without its state Terraform knows of nothing, and would fail of that.
    bucket = deployment.state_bucket
    terraform = [Undoing(deployment.infrastructure)] if bucket.exists() else []
    return [
        *([endpoint] if cluster else []),
        _stopped_intake(deployment, cluster),
        DrainedJobs(
            sqs=connect("sqs"),
            names=deployment.names,
            cluster=cluster,
            say=say,
            wait_s=deployment.drain_s,
        ),
        EndedWork(cluster=cluster),
        EndedNodes(cluster=cluster, ec2=connect("ec2"), installation=name, say=say),
        *operators,
        *terraform,
        Leftovers(connect=connect, installation=name, say=say),
        Undoing(bucket),
    ]


def _stopped_intake(deployment: Deployment, cluster: Cluster | None) -> StoppedIntake:
    name, region, account = deployment.wanted.name, deployment.wanted.region, deployment.account
    return StoppedIntake(
        functions=deployment.connect("lambda"),
        sns=deployment.connect("sns"),
        installation=name,
        topic=f"arn:{account.partition}:sns:{region}:{account.id}:{name}-jobs",
        sweeper=f"arn:{account.partition}:iam::{account.id}:role/{name}-sweeper",
        cluster=cluster,
    )


def as_deployed(deployment: Deployment) -> Deployment:
    """The same with the options that it was deployed with; if nobody knows, that is said."""
    wanted = deployment.wanted
    found = deployment.memory.recall(wanted)
    if not found.known and deployment.state_bucket.exists():
        deployment.journal.say(
            f"nobody has written down what {wanted.name} was deployed with. Taken for granted: "
            f"--overlay {wanted.overlay}, and no other option. Another one is said by --overlay; "
            "and `darkroom deploy` with all its options writes them down"
        )
    return replace(deployment, wanted=found.wanted, runtimes=found.runtimes)
