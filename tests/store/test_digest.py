from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dalsegno.errors import InputError, NotFoundError
from dalsegno.store.digest import Digest, digest_of


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_digest_of_file_is_its_sha256(tmp_path: Path) -> None:
    data = bytes(3 * 1024 * 1024 + 1)
    (tmp_path / "x").write_bytes(data)
    assert digest_of(tmp_path / "x") == Digest(sha256(data), len(data))


def test_digest_of_folder_is_over_sorted_lines(tmp_path: Path) -> None:
    for name in ("b", "a-b/x", "a/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    lines = "".join(f"{name}\0{sha256(name.encode())}\n" for name in ("a-b/x", "a/x", "b"))
    assert digest_of(tmp_path) == Digest(sha256(lines.encode()), 9)


def test_digest_tells_names_apart(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one/a").write_text("x")
    (tmp_path / "two/b").write_text("x")
    assert digest_of(tmp_path / "one") != digest_of(tmp_path / "two")


def test_digest_refuses_a_link_to_a_folder(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="link to a folder"):
        digest_of(tmp_path / "in")


def test_digest_of_nothing_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        digest_of(tmp_path / "absent")
