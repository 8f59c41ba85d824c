"""The filters, functions and tests of the language, by subject; ``registry`` has them by name."""
