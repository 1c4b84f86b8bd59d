"""The API in Lambda."""

import os

from mangum import Mangum

from api.app import create_app
from api.backend import Backend
from api.settings import ApiSettings
from jobs.logs import configure_logs

# Nobody is let in without the authorizer: `api.access` takes the tenant from it alone.
configure_logs({"DARKROOM_LOG": "json", **os.environ}, process="api")
handler = Mangum(
    create_app(Backend.on_aws(ApiSettings.from_env(os.environ))),
    lifespan="off",
    # All that the API answers is text. Mangum takes application/problem+json for binary, and
    # API Gateway would hand a problem on in base64.
    text_mime_types=["text/", "application/"],
)
