"""Run a command with one Kafka and one PostgreSQL for all of its processes.

``python -m tests.services pytest -n 2``: the fixtures find them by environment variables.
"""

from __future__ import annotations

import os
import subprocess
import sys

from kestrapy.adapters.kafka.provision import BOOTSTRAP_SERVERS, provide_kafka
from tests.provided_postgres import POSTGRES_URL, provide_postgres


def main(command: list[str]) -> int:
    """-> the command's exit code."""
    with provide_kafka() as kafka, provide_postgres() as postgres:
        print(kafka.description, postgres.description, sep="\n", flush=True)
        found = {BOOTSTRAP_SERVERS: kafka.bootstrap_servers, POSTGRES_URL: postgres.url}
        return subprocess.run(command, env=os.environ | found, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
