"""Servers that follow the releases of the test's store, as in the tests of serving."""

from tests.serving.conftest import promote, start

__all__ = ["promote", "start"]
