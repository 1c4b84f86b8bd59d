"""The Serve application of one runtime: the one name that a RayService needs is `build`."""

import os
from collections.abc import Mapping

from ray import serve

from jobs.errors import UnknownRuntime
from serve_app import promise, scaling
from serve_app.errors import CannotServe
from serve_app.generator import Generator
from serve_app.ingress import Ingress
from serve_app.runtimes import read_catalogue
from serve_app.settings import ServeSettings


def build(args: dict[str, str]) -> serve.Application:
    """The application of the runtime `args["runtime"]`; `CannotServe` if it would fail later."""
    return of_environment(args.get("runtime", ""), os.environ)


def of_environment(name: str, environ: Mapping[str, str]) -> serve.Application:
    """As `build`, with the settings from `environ`."""
    settings = ServeSettings.from_env(environ)
    catalogue = read_catalogue(settings)
    try:
        runtime = catalogue.runtime(name)
    except UnknownRuntime as error:
        raise CannotServe(f"args name the runtime {name!r}: {error}") from error
    promise.check(name, runtime, settings.models_root)
    generator = serve.deployment(Generator, **scaling.generator_options(runtime, settings))
    ingress = serve.deployment(Ingress, **scaling.ingress_options(runtime.replicas))
    return ingress.bind(
        name,
        catalogue,
        generator.bind(name, runtime, settings),
        start_timeout_s=settings.start_timeout_s,
        policy_s=scaling.policy_s(settings),
    )
