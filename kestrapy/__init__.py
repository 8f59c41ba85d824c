"""kestrapy: a Kafka-native workflow scheduler."""

__version__ = "0.1.0"
