"""Ask kestrapy for work from a program of your own, in 30 lines: none of kestrapy's code is needed.

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
    buffer = io.BytesIO(b"\xc3\x01" + digest)
    buffer.seek(0, io.SEEK_END)
    schemaless_writer(buffer, schema, fields)
    return buffer.getvalue()


servers, topic, record_name, text, *trace = sys.argv[1:]  # trace: a W3C traceparent, if any
# Java's partitioner, so that a key is in the same partition whoever produces it.
settings = {"bootstrap.servers": servers, "acks": "all", "partitioner": "murmur2_random"}
producer, errors = Producer(settings), []
headers, fields = [("traceparent", it) for it in trace], json.loads(text)
value, key = encode(record_name, fields), fields["idempotencyKey"]
producer.produce(topic, value, key, headers=headers, on_delivery=lambda e, _: errors.append(e))
producer.flush()
sys.exit(f"not sent: {errors[0]}" if errors[0] is not None else 0)
