# All images. Targets: api, bridge, serve-cpu, serve-gpu, ui.
#   make images                     builds all but serve-gpu, with buildah
#   docker build --target bridge .  any other builder does as well
# A builder that needs a private CA or package index gives them as secrets `ca` and `pip`
# (a bundle of certificates, a pip.conf): nothing of them is in an image.
# BASE may be any Debian with Python 3.11 and its venv: `make images` makes one without a registry.
ARG BASE=docker.io/library/python:3.11.14-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE} AS base
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin \
    PYTHONPATH=/srv/darkroom \
    PYTHONUNBUFFERED=1 \
    # The root is read-only.
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
LABEL org.opencontainers.image.title="darkroom" \
      org.opencontainers.image.description="Asynchronous image generation that costs next to nothing while idle" \
      org.opencontainers.image.licenses="Apache-2.0" \
      # What is in an image: `pip inspect`'s document.
      darkroom.sbom="/srv/sbom.json"
# KubeRay starts Ray from a login shell, which would forget PATH: it is to expand there, not here.
# hadolint ignore=SC2016
RUN groupadd --gid 10001 darkroom \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin darkroom \
    && echo 'export PATH=/opt/venv/bin:$PATH' >/etc/profile.d/darkroom.sh
WORKDIR /srv/darkroom

# Dependencies first: they change seldom, and take all of the time.
FROM base AS dependencies
WORKDIR /build
RUN python3 -m venv /opt/venv
COPY pyproject.toml constraints.txt docker/requirements.py ./
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

FROM dependencies AS api-dependencies
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    python requirements.py >/build/wanted.txt \
    && pip install --quiet -c constraints.txt -r /build/wanted.txt \
    && pip inspect >/srv/sbom.json

FROM dependencies AS bridge-dependencies
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    python requirements.py bridge cluster >/build/wanted.txt \
    && pip install --quiet -c constraints.txt -r /build/wanted.txt \
    && pip inspect >/srv/sbom.json

FROM dependencies AS ui-dependencies
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    python requirements.py ui >/build/wanted.txt \
    && pip install --quiet -c constraints.txt -r /build/wanted.txt \
    && pip inspect >/srv/sbom.json

# torch without CUDA comes from an index of its own, which has not got all that torch needs in our
# versions: that comes with the rest. Everybody's torch has CUDA, on arm64, too: gigabytes of it.
FROM dependencies AS serve-cpu-dependencies
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    python requirements.py serve >/build/wanted.txt \
    && pip install --quiet --no-deps ${TORCH_INDEX:+--index-url "${TORCH_INDEX}"} -c constraints.txt torch \
    && pip install --quiet -c constraints.txt -r /build/wanted.txt \
    && pip inspect >/srv/sbom.json

# CUDA comes with torch's wheels and the driver with the node: no CUDA base image. amd64 only, by
# the lock of `make lock-gpu`, hashes and all.
FROM dependencies AS serve-gpu-dependencies
COPY docker/serve-gpu.lock ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    pip install --quiet --no-deps --require-hashes -r serve-gpu.lock \
    && pip inspect >/srv/sbom.json

FROM base AS api
COPY --from=api-dependencies /opt/venv /opt/venv
COPY --from=api-dependencies /srv/sbom.json /srv/sbom.json
COPY runtimes.yaml ./
COPY jobs jobs
COPY records records
COPY api api
RUN python -m compileall -q jobs records api
USER 10001:10001
ENV DARKROOM_LOG=json DARKROOM_API_HOST=0.0.0.0
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
CMD ["python", "-m", "api"]

# The bridge, and all that runs by a clock or beside it: sweeper, dead letters, webhooks, deep sleep.
FROM base AS bridge
COPY --from=bridge-dependencies /opt/venv /opt/venv
COPY --from=bridge-dependencies /srv/sbom.json /srv/sbom.json
COPY runtimes.yaml ./
COPY jobs jobs
COPY records records
COPY client client
COPY bridge bridge
COPY darkroom darkroom
RUN python -m compileall -q jobs records client bridge darkroom
USER 10001:10001
ENV DARKROOM_LOG=json
# It listens on nothing: healthy is who has not ended.
HEALTHCHECK --interval=30s --timeout=5s CMD ["python", "-c", "import os; os.kill(1, 0)"]
CMD ["python", "-m", "bridge"]

# The Ray head and workers, and a batch's (serve_app.batch_program). KubeRay's probes are `bash -c` and `wget`.
FROM base AS serve-base
# Versions are the base's release; to pin them here would keep security updates out.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bash procps wget \
    && rm -rf /var/lib/apt/lists/*
COPY runtimes.yaml ./
COPY models/demo models/demo
COPY jobs jobs
COPY records records
COPY serve_app serve_app

FROM serve-base AS serve-cpu
COPY --from=serve-cpu-dependencies /opt/venv /opt/venv
COPY --from=serve-cpu-dependencies /srv/sbom.json /srv/sbom.json
RUN python -m compileall -q jobs records serve_app
USER 10001:10001
ENV DARKROOM_LOG=json
EXPOSE 8000 8265
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["wget", "-q", "-T", "8", "-O", "/dev/null", "http://127.0.0.1:8000/-/healthz"]
CMD ["ray", "start", "--head", "--block", "--num-cpus=0"]

FROM serve-base AS serve-gpu
COPY --from=serve-gpu-dependencies /opt/venv /opt/venv
COPY --from=serve-gpu-dependencies /srv/sbom.json /srv/sbom.json
RUN python -m compileall -q jobs records serve_app
USER 10001:10001
ENV DARKROOM_LOG=json NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s \
    CMD ["wget", "-q", "-T", "8", "-O", "/dev/null", "http://127.0.0.1:8000/-/healthz"]
CMD ["ray", "start", "--block"]

FROM base AS ui
COPY --from=ui-dependencies /opt/venv /opt/venv
COPY --from=ui-dependencies /srv/sbom.json /srv/sbom.json
COPY jobs jobs
COPY client client
COPY gradio_ui gradio_ui
RUN python -m compileall -q jobs client gradio_ui
USER 10001:10001
ENV DARKROOM_UI_HOST=0.0.0.0
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/', timeout=4)"]
CMD ["python", "-m", "gradio_ui"]
