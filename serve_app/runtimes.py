"""Reads runtimes.yaml. Apart from `app`, which imports Ray."""

from jobs import environment
from jobs.catalogue import Catalogue
from jobs.errors import InvalidCatalogue
from serve_app.errors import CannotServe
from serve_app.settings import ServeSettings


def read_catalogue(settings: ServeSettings) -> Catalogue:
    """The content of runtimes.yaml, or `CannotServe`."""
    try:
        return environment.read_catalogue({"DARKROOM_RUNTIMES": str(settings.runtimes)})
    except (environment.BadSetting, InvalidCatalogue) as error:
        raise CannotServe(str(error)) from error
