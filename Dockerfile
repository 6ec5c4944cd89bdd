# A worker image. The same steps run in any clean Debian 12 root: scripts/try-image does it without a Docker engine.
FROM debian:12-slim

RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 1000 worker \
 && mkdir -p /app /models /cache \
 && chown worker:worker /app /models /cache

USER worker
WORKDIR /app

# The slow layer first: it changes only with the requirements.
COPY --chown=worker:worker requirements.txt requirements-lock.txt ./
COPY --chown=worker:worker scripts/setup scripts/setup
RUN PIP_NO_CACHE_DIR=1 scripts/setup

COPY --chown=worker:worker worker.py LICENSE README.md ./
COPY --chown=worker:worker headless headless
COPY --chown=worker:worker wan2gp_patch wan2gp_patch
COPY --chown=worker:worker models models
COPY --chown=worker:worker configs configs
COPY --chown=worker:worker examples examples

# Finished results wait for their upload on a volume: they outlive the container.
# The health file stays in the container: on a shared volume one worker would answer for another.
ENV PYTHONUNBUFFERED=1 \
    HEADLESS_MODELS_DIR=/models \
    HEADLESS_WORK_DIR=/cache/work \
    HEADLESS_HEALTH_FILE=/tmp/alive \
    HEADLESS_CACHE_DIR=/cache \
    HF_HOME=/cache/huggingface \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

VOLUME ["/models", "/cache"]

# Loading a large model before the first task may take minutes; the first sign of life ends the start period.
HEALTHCHECK --interval=30s --timeout=10s --start-period=10m --retries=3 \
    CMD [".venv/bin/python", "-m", "headless", "health"]

# SIGTERM drains: the current task is finished if it fits --grace, else given back uncharged.
STOPSIGNAL SIGTERM
ENTRYPOINT [".venv/bin/python", "worker.py"]
