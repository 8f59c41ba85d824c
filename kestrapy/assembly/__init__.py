"""The composition root: the only place that picks adapters and puts servers together."""
