"""Ask kestrapy for work from a program of your own: no package of kestrapy's is needed.

python examples/produce_job.py localhost:9092 kestrapy.requests JobRequested \
    '{"idempotencyKey": "1", "workerGroup": "gpu", "taskType": "io.kestra.plugin.core.log.Log",
      "properties": "{\"message\": \"hello\"}"}'
"""

import io
import json
import sys
from pathlib import Path

from confluent_kafka import Producer
from fastavro import parse_schema, schemaless_writer
from fastavro.schema import fingerprint, to_parsing_canonical_form

SCHEMAS = Path(__file__).parents[1] / "schemas"


def encode(record_name: str, fields: dict) -> bytes:
    """Avro's single-object encoding: C3 01, the schema's fingerprint, the record."""
    schema = parse_schema(json.loads((SCHEMAS / f"{record_name}.avsc").read_text()))
    digest = bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))
    buffer = io.BytesIO()
    buffer.write(b"\xc3\x01" + digest)
    schemaless_writer(buffer, schema, fields)
    return buffer.getvalue()


def main(servers: str, topic: str, record_name: str, text: str, traceparent: str = "") -> None:
    """traceparent: of the trace that the work belongs to (W3C trace context), if any."""
    fields = json.loads(text)
    # The same partitioner as Java's clients have, so that a key is always in the same partition.
    settings = {"bootstrap.servers": servers, "acks": "all", "partitioner": "murmur2_random"}
    producer = Producer({**settings, "enable.idempotence": True})
    headers = {"traceparent": traceparent} if traceparent else {}
    value, key = encode(record_name, fields), fields["idempotencyKey"]
    producer.produce(topic, value, key, headers=headers, on_delivery=check)
    producer.flush()


def check(error: object, _message: object) -> None:
    if error is not None:
        sys.exit(f"not sent: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
