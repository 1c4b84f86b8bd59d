"""Diffusers on Ray Serve: `serve_app.app:build` is the one name that a RayService needs."""
