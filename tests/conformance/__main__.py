"""Writes docs/parity.md."""

from tests.conformance.page import PAGE, render

PAGE.write_text(render())
