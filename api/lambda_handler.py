"""The API in Lambda."""

import os

from mangum import Mangum

from api.app import create_app
from api.backend import Backend
from api.settings import ApiSettings
from jobs.logs import configure_logs

configure_logs({"DARKROOM_LOG": "json", **os.environ}, process="api")
handler = Mangum(create_app(Backend.on_aws(ApiSettings.from_env(os.environ))), lifespan="off")
