"""From the URI of raw tables to a folder on this machine."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from dalsegno.errors import InputError, NotFoundError
from dalsegno.store import open_store

PACKAGE = "package://"
DATASET = "dataset://"
FORMS = "a path, file://…, package://…, dataset://…, s3://…, minio://… or gs://…"


def local_folder(uri: str, scratch: Path) -> Path:
    """Return where the files behind a URI lie here, fetching them when they are elsewhere.

    Args:
        uri: A path, `file:///folder`, `package://a.package/folder`, `dataset://name@number`, or a
            folder in a store that the settings give access to.
        scratch: Folder for what is fetched.

    Raises:
        NotFoundError: There is nothing at the URI.
        InputError: The URI is of no known form.
    """
    if uri.startswith(PACKAGE):
        return _package_folder(uri)
    if uri.startswith(DATASET):
        return _fetch_dataset(uri, scratch)
    if uri.startswith("file://"):
        return _existing(uri, Path(uri.removeprefix("file://")))
    if "://" in uri:
        return _fetch_objects(uri, scratch)
    if not uri:
        raise InputError(f"tables_uri: got nothing, want {FORMS}")
    return _existing(uri, Path(uri).expanduser())


def _existing(uri: str, path: Path) -> Path:
    if not path.exists():
        raise NotFoundError(f"tables_uri {uri!r}: got nothing there, want a folder of tables")
    return path


def _package_folder(uri: str) -> Path:
    package, _, inside = uri.removeprefix(PACKAGE).partition("/")
    if ".." in inside.split("/"):
        raise InputError(f"tables_uri {uri!r}: got '..', want a folder inside of the package")
    try:
        root = resources.files(package)
    except (ModuleNotFoundError, ValueError, TypeError) as error:
        raise NotFoundError(
            f"tables_uri {uri!r}: got package {package!r}, want one that can be imported"
        ) from error
    return _existing(uri, Path(str(root.joinpath(inside))))


def _fetch_dataset(uri: str, scratch: Path) -> Path:
    from dalsegno.datasets import fetch
    from dalsegno.settings import open_default_store

    fetch(open_default_store(), uri.removeprefix(DATASET), scratch / "dataset")
    return scratch / "dataset"


def _fetch_objects(uri: str, scratch: Path) -> Path:
    from dalsegno.settings import load_settings

    root, _, name = uri.rstrip("/").rpartition("/")
    if root.endswith("/"):
        raise InputError(f"tables_uri {uri!r}: got a bucket, want a folder in it")
    store = open_store(root, load_settings().s3_access())
    store.download(name, scratch / name)
    return scratch / name
