# The gateway and the hub as an image: `docker build -t penstock .` has every flavor, `--target onnx` ONNX models alone, half
# the size. No compiler, no pip and no shell script in what runs; uid 10001; the root file system may be read-only.
ARG PYTHON=3.11

FROM docker.io/library/python:${PYTHON}-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
# flit builds Penstock's own wheel, which holds nothing but Python.
COPY requirements/image-build.txt requirements/
RUN python -m venv /flit && /flit/bin/python -m pip install --require-hashes -r requirements/image-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
# The environment has no pip in it: what installs stays outside.
RUN /flit/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . \
 && python -m venv --without-pip /opt/penstock

FROM build AS build-onnx
COPY requirements/image-onnx.txt requirements/
RUN /flit/bin/python -m pip --python /opt/penstock/bin/python install --only-binary :all: --require-hashes \
      -r requirements/image-onnx.txt \
 && /flit/bin/python -m pip --python /opt/penstock/bin/python install --no-deps /wheel/*.whl \
 && find /opt/penstock -depth -type d \( -name tests -o -path '*/pyarrow/include' \) -exec rm -r {} +

FROM build AS build-full
COPY requirements/image.txt requirements/
RUN /flit/bin/python -m pip --python /opt/penstock/bin/python install --only-binary :all: --require-hashes \
      -r requirements/image.txt \
 && /flit/bin/python -m pip --python /opt/penstock/bin/python install --no-deps /wheel/*.whl \
 && find /opt/penstock -depth -type d \( -name tests -o -path '*/pyarrow/include' \) -exec rm -r {} +

FROM docker.io/library/python:${PYTHON}-slim-bookworm AS run
LABEL org.opencontainers.image.title="penstock" \
      org.opencontainers.image.description="A gateway that serves packaged models, and a hub for experiments and models" \
      org.opencontainers.image.licenses="Apache-2.0" \
      com.amazonaws.sagemaker.capabilities.accept-bind-to-port="true"
RUN groupadd --gid 10001 penstock \
 && useradd --uid 10001 --gid 10001 --no-log-init --create-home --home-dir /home/penstock penstock \
 && install -d -o 10001 -g 10001 /var/cache/penstock /var/lib/penstock /etc/penstock /models
# Inside a container every interface is meant, and the cache has a place of its own, which may be a volume. So has a
# hub's store (`hub --store /var/lib/penstock`).
ENV PATH=/opt/penstock/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PENSTOCK_HOST=0.0.0.0 \
    PENSTOCK_HUB_HOST=0.0.0.0 \
    PENSTOCK_CACHE=/var/cache/penstock
WORKDIR /home/penstock
USER 10001:10001
EXPOSE 8080 5000
STOPSIGNAL SIGTERM
# For a hub: --health-cmd 'penstock ping --hub'.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["penstock", "ping"]
ENTRYPOINT ["penstock"]
CMD ["serve"]

FROM run AS onnx
COPY --from=build-onnx /opt/penstock /opt/penstock

FROM run AS full
COPY --from=build-full /opt/penstock /opt/penstock
