"""Where everything of a running stack is: for people, and for the state file."""

from darkroom.stack import Stack
from records.keys import DEFAULT_TENANT


def description(stack: Stack) -> dict[str, str]:
    """Addresses and keys, for people and for programs."""
    return {
        "api": stack.api_url,
        **({"ui": stack.ui_url} if stack.options.ui else {}),
        "docs": f"{stack.api_url}/docs",
        "dashboard": stack.dashboard_url,
        "serve": stack.serve_url,
        "aws": stack.aws_url,
        "api_key": stack.api_key,
        "webhook_secret": stack.secrets(DEFAULT_TENANT)[0],
        "ray_token": stack.ray_token,
        "logs": str(stack.home),
    }


def operation(stack: Stack) -> dict[str, object]:
    """What whoever looks after the stack needs of its AWS, for the state file only."""
    names = ("AWS_", "DARKROOM_JOB_TABLE", "DARKROOM_BUCKET", "DARKROOM_JOBS_TOPIC_ARN")
    environ = stack.environ()
    return {
        "operator": {name: environ[name] for name in environ if name.startswith(names)},
        "queues": {name: queues.jobs for name, queues in stack.cloud.queues.items()},
        "parked": {name: queues.parked for name, queues in stack.cloud.queues.items()},
    }
