# The runtime on a CPU: `docker build -t cgan .`, then
# `docker run --rm --network none -v "$PWD:/work" --user "$(id -u)" cgan cgan-run --digit 9`.
FROM python:3.12-slim AS wheel
COPY runtime /runtime
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /runtime

FROM python:3.12-slim
COPY constraints.txt /tmp/
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir --constraint /tmp/constraints.txt "$(ls /wheels/*.whl)[cpu]" \
    && useradd --create-home --uid 1000 cgan
ENV PYTHONDONTWRITEBYTECODE=1
USER cgan
WORKDIR /work
CMD ["cgan-check"]
