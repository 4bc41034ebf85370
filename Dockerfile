# banksim in one image: the simulator, its workers and the stand-in bank and detector.
# Build stage: everything into one virtual environment.  Run stage: that, the locustfile, the scenarios, and no root.

FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock ./
RUN pip install --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY banksim banksim
COPY web_ext web_ext
COPY locustfiles locustfiles
COPY scenarios scenarios
RUN pip install --no-deps .

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 --user-group banksim
WORKDIR /app
COPY --from=build /venv /venv
COPY locustfiles locustfiles
COPY scenarios scenarios
COPY run.py ./
RUN install -d -o banksim -g banksim /app/reports
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8089 5557
CMD ["locust", "-f", "locustfiles/banking.py", "--web-host", "0.0.0.0"]
