# One image for workers of every kind, and for `st-kpi webhooks serve`.
FROM python:3.11-slim

# A volume on /data, for a warehouse in a file, belongs to the user as the folder does.
RUN useradd --create-home --uid 10001 st-kpi && install --directory --owner=st-kpi /data
WORKDIR /opt/st-kpi

# The dependencies first: they change seldom. Nothing but what the lock names by hash gets in.
COPY requirements.lock ./
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock -c requirements.lock

COPY pyproject.toml README.md ./
COPY st_kpi ./st_kpi
COPY flows ./flows
COPY tasks ./tasks
COPY kpi_sql ./kpi_sql
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation .
# For `prefect deploy`, which is run here and reads the flows beside it.
COPY prefect.yaml ./

# Settings, secrets among them, come from the environment; the warehouse and Prefect's state are elsewhere.
ENV PATH=/opt/venv/bin:$PATH
USER 10001
WORKDIR /home/st-kpi
CMD ["prefect", "worker", "start", "--pool", "local"]
