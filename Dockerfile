# syntax=docker/dockerfile:1

# Three images from one file. `web` (the default) serves and has no TensorFlow; `cluster` adds PostgreSQL, Redis, object
# storage and Dask; `train` has TensorFlow.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

# ---- virtual environments, built in stages of their own to leave pip and its caches out of the images
FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements-web.lock ./
COPY birads_app/version.py birads_app/
COPY docker/prune.py docker/sbom.py docker/

FROM build AS build-web
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements-web.lock \
    && python docker/prune.py && python docker/sbom.py sbom.json

FROM build AS build-cluster
COPY requirements-cluster.lock ./
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements-cluster.lock \
    && python docker/prune.py && python docker/sbom.py sbom.json

FROM build AS build-train
COPY requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/pip pip install -r requirements.lock \
    && python docker/sbom.py sbom.json

# ---- shared by both images: the program, an unprivileged user, one writable volume
FROM ${PYTHON_IMAGE} AS base
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin birads \
    && install -d -o birads -g birads /data
WORKDIR /app
COPY app.py wsgi.py .flaskenv gunicorn.conf.py ./
COPY birads_app/ birads_app/
COPY training/ training/
COPY templates/ templates/
COPY static/ static/
COPY models/ models/
COPY docker/ docker/
COPY docs/settings.md docs/settings.md
RUN python -m compileall -q app.py wsgi.py birads_app training
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    BIRADS_INSTANCE=/data/instance \
    BIRADS_MODELS=/data/models
VOLUME /data
ENTRYPOINT ["sh", "/app/docker/entrypoint.sh"]

# ---- the commands: flask train, flask models, ...
FROM base AS train
COPY --from=build-train /opt/venv /opt/venv
COPY --from=build-train /build/sbom.json ./
ENV KERAS_HOME=/data/keras TF_CPP_MIN_LOG_LEVEL=2
USER 10001:10001
CMD ["flask", "--help"]

# ---- the web application, and processes of several machines
FROM base AS cluster
COPY --from=build-cluster /opt/venv /opt/venv
COPY --from=build-cluster /build/sbom.json ./
# Dask's profiler takes a tenth of a core for each worker.
ENV HOST=0.0.0.0 PORT=8000 DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED=False
USER 10001:10001
EXPOSE 8000
CMD ["gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"]

# ---- the web application on one machine
FROM base AS web
COPY --from=build-web /opt/venv /opt/venv
COPY --from=build-web /build/sbom.json ./
ENV HOST=0.0.0.0 PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "/app/docker/healthcheck.py"]
CMD ["gunicorn", "--config", "gunicorn.conf.py", "wsgi:app"]
