# banksim in one image: the simulator, its workers and the stand-in bank and detector.
# Build stage: everything into one virtual environment; run stage: that, the code, and no root.

FROM python:3.12-slim AS build
WORKDIR /app
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.txt pyproject.toml README.md LICENSE ./
RUN pip install --requirement requirements.txt "pg8000==1.31.6"
COPY banksim banksim
COPY web_ext web_ext
RUN pip install --no-deps --editable .

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 banksim
WORKDIR /app
COPY --from=build /venv /venv
COPY --chown=banksim:banksim . .
RUN install -d -o banksim -g banksim /app/reports
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
USER banksim
EXPOSE 8089
ENTRYPOINT []
CMD ["locust", "-f", "locustfiles/banking.py", "--web-host", "0.0.0.0"]
