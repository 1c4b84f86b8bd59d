"""KubeRay's RayService and RayJob, as far as we use them, over the official `kubernetes` client.

No registry has a package for that (`kuberay-client` does not exist); KubeRay's own Python client
knows no RayService.

Every patch is a JSON merge patch from a dictionary: for a list the client would send the same
content type, which the API server then refuses. A patch that carries the `resourceVersion` of
what was read is refused with 409 if anybody wrote in between.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from darkroom.errors import ClusterError, Conflict, NotInCluster, TookTooLong
from darkroom.names import FIELD_MANAGER
from darkroom.observed import Observed

GROUP, VERSION = "ray.io", "v1"
SERVICES, JOBS = "rayservices", "rayjobs"
#: Seconds for one call: the API server answers in milliseconds, or not at all.
_CALL_S = 10
#: Seconds of one watch; then what is there is read anew.
_WATCH_S = 30


class KubeRay:
    """RayServices and RayJobs of one namespace."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self._objects = client.CustomObjectsApi(api)
        self._namespace = namespace

    @classmethod
    def connect(cls, namespace: str) -> Self:
        """In a pod by its service account, elsewhere by the kubeconfig of the environment."""
        return cls(connect(), namespace)

    def service(self, name: str) -> Observed:
        """The RayService of that name; `NotInCluster` if there is none."""
        return self._get(SERVICES, name)

    def suspend(self, seen: Observed) -> Observed:
        """Have the RayService deleted down to nothing, unless somebody wrote since `seen`."""
        return self._suspend(SERVICES, seen, to=True)

    def resume(self, seen: Observed) -> Observed:
        """Have it come back. While it is still being suspended that is noted, and done after."""
        return self._suspend(SERVICES, seen, to=False)

    def wait_ready(self, name: str, *, timeout_s: float) -> Observed:
        """Wait until the RayService serves; `TookTooLong` with its conditions otherwise."""
        return self._wait(SERVICES, name, lambda seen: seen.ready, timeout_s)

    def submit_job(self, manifest: Mapping[str, Any]) -> Observed:
        """Create the RayJob, or leave it as it is there: asked twice it is one job."""
        name = manifest["metadata"]["name"]
        try:
            return self._call(
                f"creating {JOBS}/{name}",
                self._objects.create_namespaced_custom_object,
                GROUP,
                VERSION,
                self._namespace,
                JOBS,
                dict(manifest),
                field_manager=FIELD_MANAGER,
            )
        except Conflict:
            return self.job(name)

    def job(self, name: str) -> Observed:
        """The RayJob of that name; `NotInCluster` if there is none."""
        return self._get(JOBS, name)

    def wait_job(self, name: str, *, timeout_s: float) -> Observed:
        """Wait until the RayJob has come to its end."""
        return self._wait(JOBS, name, lambda seen: seen.ended, timeout_s)

    def delete_job(self, name: str) -> None:
        """Delete the RayJob with its cluster; nothing if it is gone already."""
        try:
            self._call(
                f"deleting {JOBS}/{name}",
                self._objects.delete_namespaced_custom_object,
                GROUP,
                VERSION,
                self._namespace,
                JOBS,
                name,
                # Foreground: gone means that its pods are gone too.
                propagation_policy="Foreground",
            )
        except NotInCluster:
            return

    def apply(self, plural: str, manifest: Mapping[str, Any]) -> Observed:
        """Server-side apply as `darkroom`; `Conflict` about a field that another manager owns."""
        name = manifest["metadata"]["name"]
        return self._call(
            f"applying {plural}/{name}",
            self._objects.patch_namespaced_custom_object,
            GROUP,
            VERSION,
            self._namespace,
            plural,
            name,
            dict(manifest),
            field_manager=FIELD_MANAGER,
            _content_type="application/apply-patch+yaml",
        )

    def watch(self, plural: str, name: str, *, timeout_s: float) -> Iterator[Observed]:
        """The object as it is now and after each change, for at most `timeout_s`.

        A watch that breaks off is begun anew by a fresh read, so no change of state is missed,
        although several may come as one.
        """
        until = time.monotonic() + timeout_s
        while (left := until - time.monotonic()) > 0:
            seen = self._get(plural, name)
            yield seen
            with translated(f"watching {plural}/{name}"):
                for event in self._events(plural, name, seen.version, min(left, _WATCH_S)):
                    if event["type"] == "ERROR":
                        break  # too old a version: read anew
                    if event["type"] == "DELETED":
                        raise NotInCluster(f"{plural}/{name} was deleted")
                    yield Observed(document=event["object"])

    def _events(
        self, plural: str, name: str, version: str, seconds: float
    ) -> Iterator[dict[str, Any]]:
        events: Iterator[dict[str, Any]] = watch.Watch().stream(
            self._objects.list_namespaced_custom_object,
            GROUP,
            VERSION,
            self._namespace,
            plural,
            field_selector=f"metadata.name={name}",
            resource_version=version,
            timeout_seconds=max(1, int(seconds)),
            _request_timeout=seconds + _CALL_S,
        )
        return events

    def _wait(self, plural: str, name: str, done: Any, timeout_s: float) -> Observed:
        seen = None
        for seen in self.watch(plural, name, timeout_s=timeout_s):
            if done(seen):
                return seen
        said = "nothing" if seen is None else _said(seen)
        raise TookTooLong(f"{plural}/{name} after {timeout_s:g} s: {said}")

    def _suspend(self, plural: str, seen: Observed, *, to: bool) -> Observed:
        name = seen.document["metadata"]["name"]
        body = {"metadata": {"resourceVersion": seen.version}, "spec": {"suspend": to}}
        return self._call(
            f"patching {plural}/{name}",
            self._objects.patch_namespaced_custom_object,
            GROUP,
            VERSION,
            self._namespace,
            plural,
            name,
            body,
            field_manager=f"{FIELD_MANAGER}-sleep",
            # 35 and older send this for every dictionary; newer ones look at the body.
            _content_type="application/merge-patch+json",
        )

    def _get(self, plural: str, name: str) -> Observed:
        return self._call(
            f"reading {plural}/{name}",
            self._objects.get_namespaced_custom_object,
            GROUP,
            VERSION,
            self._namespace,
            plural,
            name,
        )

    def _call(self, what: str, call: Any, *arguments: Any, **named: Any) -> Observed:
        with translated(what):
            return Observed(document=call(*arguments, _request_timeout=_CALL_S, **named))


def connect(kubeconfig: Path | None = None) -> client.ApiClient:
    """A connection to the kubeconfig's cluster; without one to ours, or the environment's."""
    try:
        if kubeconfig is not None:
            # With settings of its own: another installation's stay as they are.
            return config.new_client_from_config(config_file=str(kubeconfig))
        try:
            config.load_incluster_config()
        except ConfigException:
            config.load_kube_config()
    except ConfigException as error:
        raise ClusterError(f"no cluster is known: {error}") from error
    return client.ApiClient()


def _said(seen: Observed) -> str:
    conditions = [
        f"{each['type']}={each['status']} {each.get('message', '')}".strip()
        for each in seen.status.get("conditions", [])
    ]
    state = [seen.status[key] for key in ("jobDeploymentStatus", "message") if key in seen.status]
    return "; ".join([*state, *conditions]) or "its controller has said nothing"


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the client's errors into ours: the one place where that is done."""
    try:
        yield
    except ApiException as error:
        kind = {404: NotInCluster, 409: Conflict}.get(error.status, ClusterError)
        raise kind(f"{what}: {error.status} {_reason(error)}") from error
    except (HTTPError, OSError) as error:
        raise ClusterError(f"{what}: {error}") from error


def _reason(error: ApiException) -> str:
    """What the API server says, without its headers."""
    return str(error.body or error.reason)[:500]
