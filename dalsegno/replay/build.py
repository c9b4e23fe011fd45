"""Builds the capsule of one attempt of a task from the records of its run."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dalsegno.engine.spec import lightweight_source
from dalsegno.errors import InfrastructureError, InputError
from dalsegno.replay.allowed import without_secrets
from dalsegno.replay.capsule import (
    MANIFEST,
    RECORD,
    SOURCE,
    Capsule,
    InputFile,
    Manifest,
    is_capsule,
    open_capsule,
)
from dalsegno.replay.fetch import fetch_inputs
from dalsegno.replay.log import ignore
from dalsegno.replay.stamps import stamps_of, write_stamps
from dalsegno.runs.environment import read_environment
from dalsegno.runs.record import RunRecord, TaskRecord, to_json
from dalsegno.store import Store
from dalsegno.store.base import remove


def build_capsule(
    store: Store,
    run: RunRecord,
    record: TaskRecord,
    folder: Path,
    tell: Callable[[str], None] = ignore,
) -> Capsule:
    """Build a capsule, or take the one that is there when all its digests hold.

    Args:
        store: Where the run is recorded.
        folder: Where the capsule is to be; replays that are kept there stay.
        tell: Told, in a line, whatever is not as usual.

    Raises:
        NotFoundError: An input artifact is there no more.
        InputError: An input artifact is not what the record says.
        InfrastructureError: The store gives no answer, or there is no room.
    """
    allowed, left_out = without_secrets(record)
    existing = _existing(folder, to_json(allowed), tell)
    if existing:
        return existing
    arriving = folder.parent / f".{folder.name}.{secrets.token_hex(6)}"
    try:
        arriving.mkdir(parents=True)
        files = _write_texts(arriving, allowed)
        inputs = _fetched(run, record, store, arriving, tell)
        manifest = Manifest(
            run.run_id,
            record.task,
            record.attempt,
            run.pipeline,
            run.commit,
            read_environment(store, run.run_id),
            run.sources,
            store.uri,
            left_out,
            inputs,
            files,
        )
        (arriving / MANIFEST).write_bytes(manifest.to_json())
        stamps = {
            f"{item.path} {item.sha256}": stamps_of(arriving / str(item.path))
            for item in manifest.kept_inputs
        }
        write_stamps(arriving, stamps)
        _settle(arriving, folder)
    except OSError as error:
        raise InfrastructureError(f"capsule {folder}: cannot be written ({error})") from error
    finally:
        remove(arriving)
    return Capsule(folder, manifest, allowed)


def _existing(folder: Path, record: bytes, tell: Callable[[str], None]) -> Capsule | None:
    if not is_capsule(folder):
        return None
    try:
        capsule = open_capsule(folder)
    except InputError as error:
        tell(f"{error}; building it anew")
        return None
    same = capsule.manifest.files.get(RECORD) == hashlib.sha256(record).hexdigest()
    return capsule if same else None


def _write_texts(folder: Path, record: TaskRecord) -> dict[str, str]:
    """Write the record and the component's source text, and return their digests."""
    texts = {RECORD: to_json(record)}
    source = lightweight_source(tuple(record.command)) if record.command else None
    if source is not None:
        texts[SOURCE] = source.encode()
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    return {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}


def _fetched(
    run: RunRecord, record: TaskRecord, store: Store, folder: Path, tell: Callable[[str], None]
) -> dict[str, list[InputFile]]:
    """Fetch the inputs; for one that is lost say how it is made again."""
    try:
        return fetch_inputs(record, store, folder, tell)
    except InputError as error:
        again = f"dalsegno resume {run.run_id} --from {record.task}"
        show = f"dalsegno show {run.run_id}/{record.task}"
        raise type(error)(str(error), error.next_command or (show if run.origin else again)) from (
            error.__cause__
        )


def _settle(arriving: Path, folder: Path) -> None:
    """Move a finished capsule to its place; what was there goes, except for its replays."""
    old = folder.parent / f"{arriving.name}.old"
    try:
        if folder.exists():
            os.rename(folder, old)
            if (old / "replays").is_dir():
                os.rename(old / "replays", arriving / "replays")
        os.rename(arriving, folder)
    finally:
        remove(old)


def from_elsewhere(manifest: Manifest) -> Manifest:
    """Return the manifest as it leaves this machine: without its paths and its store."""
    return replace(manifest, sources=[], store_uri=None)
