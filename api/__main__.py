"""The API under uvicorn: `python -m api`."""

import os
import sys

import uvicorn

from api.app import create_app
from api.backend import Backend
from api.settings import ApiSettings
from jobs.environment import BadSetting, number
from jobs.errors import InvalidCatalogue
from jobs.logs import configure_logs


def main() -> int:
    """Serve until SIGTERM, on loopback unless `DARKROOM_API_HOST` says otherwise."""
    configure_logs(os.environ, process="api")
    try:
        settings = ApiSettings.from_env(os.environ)
        host = os.environ.get("DARKROOM_API_HOST") or "127.0.0.1"
        port = int(number(os.environ, "DARKROOM_API_PORT", 8080, least=1))
    except (BadSetting, InvalidCatalogue) as error:
        sys.stderr.write(f"api: {error}\n")
        return 2
    app = create_app(Backend.on_aws(settings))
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
