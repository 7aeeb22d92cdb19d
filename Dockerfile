# Images of the project. Build one: docker build --target node -t pneumonia-node .
#
#   predict   new studies by exported models: no Keras, no TensorFlow, no root, a root filesystem that may be read-only
#   node      the same as a DICOM node, with a health check
#   orthanc   an archive beside the node, see compose.yaml
#   pipeline  everything that `dvc repro` needs; the project itself is mounted at /project
#
# The bases are pinned by tag. For an image that is the same next year, pin them by digest: FROM python:3.11-slim-bookworm@sha256:...
# docs/container.md says how each is run and what was checked.

FROM python:3.11-slim-bookworm AS base
# What OpenCV's wheel is linked against and slim images lack. Debian's own versions: they have its security updates.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
ENV PATH=/opt/pneumonia/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1


FROM base AS reading
WORKDIR /build
RUN python -m venv /opt/pneumonia
COPY node.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r node.lock
COPY pyproject.toml setup.py README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
    && pip uninstall --yes setuptools pip \
    && python -m compileall -q /opt/pneumonia/lib


FROM base AS predict
RUN groupadd --gid 10001 pneumonia \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp pneumonia \
    && install --directory --owner=10001 --group=10001 --mode=0700 /node
COPY --from=reading /opt/pneumonia /opt/pneumonia
WORKDIR /app
COPY params.yaml ./
USER 10001:10001
# Mount exported models at /models, studies at /in, and a folder that user 10001 may write to at /out.
ENTRYPOINT ["pneumonia"]
CMD ["--help"]


FROM predict AS node
EXPOSE 11112 8053
# 503 is for people (docs/reading-room.md): nothing should restart the node for it. It ends by itself where it cannot go on.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8052/health', timeout=4)"]
STOPSIGNAL SIGTERM
CMD ["serve", "/etc/pneumonia/serve.yaml", "--models", "/models"]


FROM debian:bookworm-slim AS orthanc
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends orthanc orthanc-dicomweb orthanc-python python3 \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner=orthanc --group=orthanc --mode=0700 /var/lib/orthanc/db
COPY docs/orthanc/route.py container/orthanc.json /etc/pneumonia/
# hadolint ignore=DL3066
USER orthanc
EXPOSE 4242 8042
CMD ["Orthanc", "/etc/pneumonia/orthanc.json"]


FROM base AS pipeline
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home pneumonia
WORKDIR /build
RUN python -m venv /opt/pneumonia
COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml setup.py README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .
# The project's own code runs, not the copy in the image, which only brings the command `pneumonia`.
ENV PYTHONPATH=/project/src \
    TF_CPP_MIN_LOG_LEVEL=2
WORKDIR /project
USER 1000:1000
CMD ["dvc", "repro"]
