import sys

from dalsegno.engine.code import _imported, code_digest


def test_imports_are_found_wherever_they_stand():
    source = """
import os, first.deep as other
from second.deep import name
def function():
    from third import (a,
        b)
    import fourth  # why
    from . import sibling
"""
    assert _imported(source) == {"os", "first", "second", "third", "fourth"}


def test_digest_follows_code_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "outer_code.py").write_text("import inner_code\n")
    (tmp_path / "inner_code.py").write_text("one = 1\n")
    first = code_digest("import outer_code\n")
    assert first == code_digest("import outer_code\n")
    assert first != code_digest("import json\n")


def test_broken_source_is_digested_all_the_same():
    assert code_digest("def broken(:\n    import json")
