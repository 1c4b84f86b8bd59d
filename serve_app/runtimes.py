"""Reads runtimes.yaml. Apart from `app`, which imports Ray."""

from jobs.catalogue import Catalogue
from jobs.errors import InvalidCatalogue
from serve_app.errors import CannotServe
from serve_app.settings import ServeSettings


def read_catalogue(settings: ServeSettings) -> Catalogue:
    """The content of runtimes.yaml, or `CannotServe`."""
    try:
        return Catalogue.from_yaml(settings.runtimes.read_text())
    except OSError as error:
        raise CannotServe(f"{settings.runtimes}: {error.strerror}") from error
    except InvalidCatalogue as error:
        raise CannotServe(str(error)) from error
