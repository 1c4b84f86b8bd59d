"""The API in Lambda."""

import os

from mangum import Mangum

from api.app import create_app
from api.backend import Backend
from api.settings import ApiSettings
from jobs.environment import required
from jobs.logs import configure_logs

# On AWS nobody is let in without a key, also not by a variable that was forgotten.
required(os.environ, "DARKROOM_API_KEYS")
configure_logs({"DARKROOM_LOG": "json", **os.environ}, process="api")
handler = Mangum(
    create_app(Backend.on_aws(ApiSettings.from_env(os.environ))),
    lifespan="off",
    # All that the API answers is text. Mangum takes application/problem+json for binary, and
    # API Gateway would hand a problem on in base64.
    text_mime_types=["text/", "application/"],
)
