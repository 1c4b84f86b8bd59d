"""The API: one app object, run by uvicorn here and by Mangum in Lambda."""

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from api.backend import Backend
from api.body_limit import BodyLimit
from api.paths import TidyPaths
from api.problems import Unforeseen, install_problems
from api.routes import router


def create_app(backend: Backend) -> FastAPI:
    """The app over `backend`."""
    # Its documentation brings its scripts along: FastAPI's own asks a CDN for them.
    # One page of it is enough, and ReDoc's fetches a logo from elsewhere.
    app = FastAPIOffline(
        redoc_url=None,
        title="Darkroom",
        version="0.1.0",
        summary="Asynchronous image generation",
        description="Post a job, look at it until it has ended, download its images.",
    )
    app.state.backend = backend
    app.add_middleware(BodyLimit)
    app.add_middleware(Unforeseen)
    app.add_middleware(TidyPaths)
    app.include_router(router)
    install_problems(app)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Whether the API runs. It asks nobody else: each job's answer tells of them."""
        return {"status": "ok"}

    return app
