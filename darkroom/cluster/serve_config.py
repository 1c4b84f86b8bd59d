"""`serveConfigV2`, read strictly: Ray drops a key that it does not know without a word."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from darkroom.cluster.errors import CannotValidate
from darkroom.cluster.finding import Finding

#: Names of former releases -> today's. Ray 2.60 accepts them, and takes its defaults instead.
LEGACY = {
    "max_concurrent_queries": "max_ongoing_requests",
    "target_num_ongoing_requests_per_replica": "target_ongoing_requests",
    "smoothing_factor": "upscaling_factor and downscaling_factor",
    "upscale_smoothing_factor": "upscaling_factor",
    "downscale_smoothing_factor": "downscaling_factor",
}
_HEAD = "node:__internal_head__"


def check(manifest: Mapping[str, Any]) -> Iterator[Finding]:
    """The faults of a RayService's `serveConfigV2`."""
    if manifest.get("kind") != "RayService":
        return
    schema = _schema()
    try:
        config = yaml.safe_load(manifest["spec"].get("serveConfigV2") or "")
    except yaml.YAMLError as error:
        yield Finding.of("serve-schema", manifest, f"serveConfigV2 is not YAML: {error}")
        return
    if not isinstance(config, dict):
        yield Finding.of("serve-schema", manifest, "serveConfigV2 is empty")
        return
    for place, key, known in _unknown(schema, config, ""):
        if key in LEGACY:
            detail = f"{place}{key} is {LEGACY[key]} now; Ray drops it silently"
            yield Finding.of("serve-legacy-key", manifest, detail)
            continue
        close = get_close_matches(key, known, n=1)
        hint = f"; is it {close[0]}?" if close else ""
        yield Finding.of("serve-unknown-key", manifest, f"Ray drops {place}{key} silently{hint}")
    try:
        schema.model_validate(config)
    except ValidationError as error:
        for fault in error.errors():
            place = ".".join(map(str, fault["loc"]))
            yield Finding.of("serve-schema", manifest, f"{place}: {fault['msg']}")
    yield from _off_the_head(manifest, config)


def pinned(options: Mapping[str, Any]) -> bool:
    """Whether an actor with these options runs on the head and nowhere else."""
    return options.get("num_cpus") == 0 and bool((options.get("resources") or {}).get(_HEAD))


def _off_the_head(manifest: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Finding]:
    """Deployments that would hold a worker node while nothing is asked of them."""
    for app in config.get("applications") or ():
        for deployment in app.get("deployments") or ():
            options = deployment.get("ray_actor_options")
            # Without options the code's own hold; a contract test looks at these.
            if options is not None and not options.get("num_gpus") and not pinned(options):
                detail = (
                    f"{deployment.get('name')} has no GPU and is not pinned to the head: it would "
                    "start a GPU node, and keep it for ever"
                )
                yield Finding.of("ingress-on-head", manifest, detail)


def _unknown(
    model: type[BaseModel], given: Mapping[str, Any], place: str
) -> Iterator[tuple[str, str, list[str]]]:
    """(place, key, known keys) of each key that `model` does not know, at any depth."""
    known = {
        alias: field
        for name, field in model.model_fields.items()
        for alias in (name, field.alias)
        if alias
    }
    for key, value in given.items():
        if key not in known or key in LEGACY:
            yield place, key, sorted(known)
            continue
        for inner in _models(known[key].annotation):
            for number, element in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(element, dict):
                    at = f"[{number}]" if isinstance(value, list) else ""
                    yield from _unknown(inner, element, f"{place}{key}{at}.")


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The one model within an annotation such as Optional[List[Model]], if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for each in get_args(annotation) for model in _models(each)]


def _schema() -> type[BaseModel]:
    try:
        from ray.serve.schema import ServeDeploySchema  # noqa: PLC0415  # most commands need no Ray
    except ImportError as error:
        raise CannotValidate("Ray is missing: pip install 'darkroom[serve]'") from error
    schema: type[BaseModel] = ServeDeploySchema
    return schema
