"""A capsule: all that one attempt of one task needs to be played again, in a folder.

<capsule>/capsule.json            manifest: where it comes from, digest of everything below
<capsule>/record.json             the attempt's record, without what is not on the allow-list
<capsule>/component.py            source text of a lightweight component, from its spec
<capsule>/inputs/<n>/<name>       input artifacts, each a file or a folder
<capsule>/replays/<n>/…           what came of replaying it; belongs to no digest
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from dalsegno.errors import InputError
from dalsegno.replay.stamps import read_stamps, stamps_of, write_stamps
from dalsegno.runs.record import TaskRecord
from dalsegno.store import digest_of
from dalsegno.store.keys import check_key

FORMAT = 1
MANIFEST, RECORD, SOURCE = "capsule.json", "record.json", "component.py"


@dataclass(frozen=True)
class InputFile:
    """One input artifact.

    Attributes:
        uri: Where the task had it.
        path: Where it is in the capsule, relative; None for one that is metadata alone.
        sha256: Its digest, None with the path.
        size_bytes: Its size.
        is_folder: Whether it is a folder of files.
    """

    uri: str
    path: str | None = None
    sha256: str | None = None
    size_bytes: int = 0
    is_folder: bool = False


@dataclass(frozen=True)
class Manifest:
    """What `capsule.json` holds.

    Attributes:
        pipeline: Name of the pipeline.
        commit: Commit of the code that ran, where known.
        environment: `python`, `platform` and `packages` (name to version) of the run, where known.
        sources: Files in which the component may be defined; not in a capsule from elsewhere.
        store_uri: Store of the run; None in a capsule from elsewhere.
        left_out: Names of environment variables whose values did not enter.
        inputs: Input artifacts by input name, as many and in the order of the executor input.
        files: SHA-256 of `record.json` and `component.py`.
    """

    run_id: str
    task: str
    attempt: int
    pipeline: str
    commit: str | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    store_uri: str | None = None
    left_out: list[str] = field(default_factory=list)
    inputs: dict[str, list[InputFile]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: bytes, place: Path) -> Self:
        """Read `capsule.json` of the capsule in that folder or file.

        Raises:
            InputError: It is none, of another format, or not as it was written.
        """
        try:
            fields = json.loads(data)
            said, number = fields.pop("sha256"), fields.pop("capsule")
            if number != FORMAT:
                raise InputError(f"capsule {place}: got format {number}, want {FORMAT}")
            if said != _self_digest(fields):
                raise InputError(
                    f"capsule {place}: got a manifest that was changed, want it as written"
                )
            fields["inputs"] = {
                name: [InputFile(**item) for item in items]
                for name, items in fields["inputs"].items()
            }
            manifest = cls(**fields)
            _check(manifest, place)
            return manifest
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            message = f"capsule {place}: got no manifest ({error}), want {MANIFEST}"
            raise InputError(message) from error

    def to_json(self) -> bytes:
        """Write `capsule.json`; the same content is always the same bytes."""
        fields = asdict(self)
        whole = {"capsule": FORMAT, **fields, "sha256": _self_digest(fields)}
        return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False).encode()

    @property
    def address(self) -> str:
        """Address of the attempt in its run."""
        return f"{self.run_id}/{self.task}/{self.attempt}"

    @property
    def kept_inputs(self) -> list[InputFile]:
        """Input artifacts that have content, each once."""
        found = {item.path: item for items in self.inputs.values() for item in items if item.path}
        return list(found.values())


@dataclass(frozen=True)
class Capsule:
    """A capsule that is ready to play: every digest in it holds."""

    folder: Path
    manifest: Manifest
    record: TaskRecord

    @property
    def sha256(self) -> str:
        """Digest of the manifest, and by it of the whole capsule."""
        return hashlib.sha256(self.manifest.to_json()).hexdigest()

    @property
    def source(self) -> Path | None:
        """Source text of a lightweight component; None for a container component."""
        path = self.folder / SOURCE
        return path if SOURCE in self.manifest.files else None

    def input_paths(self, name: str) -> list[Path | None]:
        """Places of an input's artifacts; None for one that is metadata alone."""
        return [
            self.folder / item.path if item.path else None
            for item in self.manifest.inputs.get(name, [])
        ]


def _check(manifest: Manifest, place: Path) -> None:
    """Refuse places outside of the capsule, and texts that are none of ours."""
    unknown = set(manifest.files) - {RECORD, SOURCE}
    if unknown or RECORD not in manifest.files:
        raise InputError(f"capsule {place}: got files {sorted(manifest.files)}, want {RECORD}")
    for item in manifest.kept_inputs:
        if not check_key(str(item.path)).startswith("inputs/") or not item.sha256:
            got = f"an input at {item.path!r}"
            raise InputError(f"capsule {place}: got {got}, want one at inputs/…")


def _self_digest(fields: dict[str, Any]) -> str:
    text = json.dumps(fields, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def is_capsule(folder: Path) -> bool:
    """Say whether a folder looks like a capsule."""
    return (folder / MANIFEST).is_file()


def open_capsule(folder: Path) -> Capsule:
    """Open a capsule and verify all of it by digest.

    Raises:
        InputError: It is no capsule, or something in it is missing or was changed.
    """
    try:
        manifest = Manifest.from_json((folder / MANIFEST).read_bytes(), folder)
        for name, sha256 in manifest.files.items():
            _verify(folder, name, sha256)
        record = TaskRecord.from_json((folder / RECORD).read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"capsule {folder}: cannot be read ({error})") from error
    named = record.executor_input.get("inputs", {}).get("artifacts", {})
    if {name: len(found["artifacts"]) for name, found in named.items()} != {
        name: len(items) for name, items in manifest.inputs.items()
    }:
        raise InputError(f"capsule {folder}: got other inputs than its record has, want the same")
    known = read_stamps(folder)
    stamps = {}
    for item in manifest.kept_inputs:
        path, name = folder / str(item.path), f"{item.path} {item.sha256}"
        stamps[name] = stamps_of(path) if path.exists() else {}
        if not stamps[name] or known.get(name) != stamps[name]:
            _verify(folder, str(item.path), str(item.sha256))
    if stamps != known:
        write_stamps(folder, stamps)
    return Capsule(folder, manifest, record)


def _verify(folder: Path, name: str, sha256: str) -> None:
    path = folder / name
    if not path.exists():
        raise InputError(f"capsule {folder}: {name} is missing, want it as recorded")
    got = digest_of(path).sha256
    if got != sha256:
        raise InputError(
            f"capsule {folder}: {name} has SHA-256 {got[:12]}…, want {sha256[:12]}… as recorded"
        )
