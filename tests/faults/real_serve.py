"""The real Ray Serve with our ingress, and the stub pipeline in the place of the generator.

    python -m tests.faults.real_serve

Its replicas are processes of their own, so that one can be killed and Serve replaces it.
"""

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from jobs.job import Job
from serve_app.__main__ import main
from serve_app.runtimes import read_catalogue
from serve_app.settings import ServeSettings
from tests.faults.stub_pipeline import StubPipeline


class StubGenerator:
    """As `serve_app.generator.Generator`, without a model."""

    def __init__(self) -> None:
        self._pipeline = StubPipeline.from_env(os.environ)

    async def generate(
        self, body: str, *, alone: bool = False
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The events of the job in `body`."""
        del alone  # it shares nothing with others anyway
        async with aclosing(self._pipeline.events(Job.decode(body))) as events:
            async for event in events:
                yield event.model_dump(mode="json")


def build(args: dict[str, str]) -> Any:
    """The application of the runtime `args["runtime"]`, as `serve_app.app.build` would scale it."""
    # Not before the environment stands that Ray reads when it is imported.
    from ray import serve

    from serve_app import scaling
    from serve_app.ingress import Ingress

    settings = ServeSettings.from_env(os.environ)
    catalogue = read_catalogue(settings)
    runtime = catalogue.runtime(args["runtime"])
    generator = serve.deployment(StubGenerator, **scaling.generator_options(runtime, settings))
    ingress = serve.deployment(Ingress, **scaling.ingress_options(runtime.replicas))
    return ingress.bind(
        args["runtime"],
        catalogue,
        generator.bind(),
        start_timeout_s=settings.start_timeout_s,
        policy_s=scaling.policy_s(settings),
    )


if __name__ == "__main__":
    # By its importable name: a replica could not find a class of `__main__`.
    from tests.faults import real_serve

    sys.exit(main(real_serve.build))
