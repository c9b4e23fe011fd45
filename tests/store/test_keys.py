from __future__ import annotations

import pytest

from dalsegno.errors import InputError
from dalsegno.store.keys import check_name, check_prefix


@pytest.mark.parametrize("name", ["titanic", "Titanic-2_b.c", "7f3a", "x" * 128])
def test_name_of_plain_characters_passes(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a..b", "a.", "-rf", "a/b", "a@1", "a b", "ü", "a\n", "x" * 129]
)
def test_name_of_other_characters_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="endpoint: got"):
        check_name(name, "endpoint")


def test_prefix_gets_one_slash() -> None:
    assert [check_prefix(prefix) for prefix in ("", "a", "a/b/")] == ["", "a/", "a/b/"]
    for prefix in ("/", "a//", "../a"):
        with pytest.raises(InputError):
            check_prefix(prefix)
