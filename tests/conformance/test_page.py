from tests.conformance.page import PAGE, render


def test_parity_page_is_as_the_tests_write_it():
    assert PAGE.read_text() == render(), "docs/parity.md is old: make parity"
