"""A capsule is whole, verified, free of secrets, and safe to open from a stranger."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dalsegno.errors import InputError, NotFoundError
from dalsegno.replay.allowed import without_secrets
from dalsegno.replay.archive import export_capsule, read_texts, unpack
from dalsegno.replay.build import build_capsule
from dalsegno.replay.capsule import MANIFEST, Capsule, Manifest, open_capsule
from dalsegno.replay.play import play, prepare_replay
from dalsegno.replay.shelf import (
    is_trusted,
    kept_capsules,
    place_of,
    remove_capsule,
    shelf,
    to_prune,
    trust,
)
from dalsegno.runs.reader import find_run, read_task
from dalsegno.store.digest import files_of
from tests.engine import samples
from tests.replay import broad


@pytest.fixture
def capsule(run, capsule_of) -> Capsule:
    record = run(samples.artifacts)
    return capsule_of(f"{record.run_id}/read")


@pytest.fixture
def exported(capsule: Capsule, tmp_path: Path) -> Path:
    path = tmp_path / "read.capsule"
    export_capsule(capsule, path)
    return path


def rewrite(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """Write a capsule's file again with other members."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def sign(members: dict[str, bytes], **fields: object) -> None:
    """Change the manifest as a stranger would, with a digest that fits."""
    manifest = Manifest.from_json(members[MANIFEST], Path("stranger"))
    members[MANIFEST] = replace(manifest, **fields).to_json()


def test_capsule_holds_input_by_digest(capsule):
    (item,) = capsule.manifest.inputs["data"]
    assert (capsule.folder / item.path).read_text() == "hello"
    assert open_capsule(capsule.folder).sha256 == capsule.sha256


def test_building_again_takes_what_is_there(run, capsule_of):
    record = run(samples.artifacts)
    first = capsule_of(f"{record.run_id}/read")
    before = (first.folder / MANIFEST).stat().st_ino
    assert capsule_of(f"{record.run_id}/read").sha256 == first.sha256
    assert (first.folder / MANIFEST).stat().st_ino == before


def test_changed_input_is_built_anew_and_replays_stay(run, capsule_of, replay):
    record = run(samples.artifacts)
    replay(f"{record.run_id}/read")
    capsule = capsule_of(f"{record.run_id}/read")
    place = capsule.input_paths("data")[0]
    place.write_text("other")
    with pytest.raises(InputError, match=r"inputs/0/data has SHA-256 .* as recorded"):
        open_capsule(capsule.folder)
    assert replay(f"{record.run_id}/read").number == 2
    assert place.read_text() == "hello"


def test_same_size_and_time_do_not_hide_a_change(capsule):
    place = capsule.input_paths("data")[0]
    before = place.stat()
    place.write_text("hellO")
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(InputError, match="SHA-256"):
        open_capsule(capsule.folder)


@pytest.mark.parametrize("name", ["record.json", "component.py", "inputs/0/data"])
def test_missing_file_is_named(name, capsule):
    (capsule.folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        open_capsule(capsule.folder)


def test_removed_artifact_leaves_nothing_half_built(run, store):
    record = run(samples.artifacts)
    task = read_task(store, record, "read")
    Path(task.inputs["data"][0]["uri"]).unlink()
    with pytest.raises(NotFoundError, match=r"input 'data': got nothing at .*removed") as caught:
        build_capsule(store, record, task, place_of(store, task))
    assert caught.value.next_command == f"dalsegno resume {record.run_id} --from read"
    assert not [path for path in shelf(store).rglob("*") if path.is_file()]


def test_changed_artifact_is_refused(run, store):
    record = run(samples.artifacts)
    task = read_task(store, record, "read")
    Path(task.inputs["data"][0]["uri"]).write_text("other")
    with pytest.raises(InputError, match=r"input 'data': got SHA-256 .* it was changed since"):
        build_capsule(store, record, task, place_of(store, task))
    assert not [path for path in shelf(store).rglob("*") if path.is_file()]


def test_folders_and_empty_artifacts_travel(run, capsule_of, tmp_path):
    record = run(broad.broad)
    for number, (task, wanted) in enumerate({"count-files": 5, "look-at-empty": "0 []"}.items()):
        path = tmp_path / f"{number}.capsule"
        export_capsule(capsule_of(f"{record.run_id}/{task}"), path)
        elsewhere = unpack(path, tmp_path / "elsewhere")
        assert play(prepare_replay(elsewhere)).parameters["Output"] == wanted


def test_export_is_the_same_each_time(capsule, exported, tmp_path):
    again = tmp_path / "again.capsule"
    export_capsule(capsule, again)
    assert again.read_bytes() == exported.read_bytes()


def test_export_names_nothing_of_this_machine_but_recorded_uris(capsule, exported):
    manifest, record, _ = read_texts(exported)
    assert manifest.sources == []
    assert manifest.store_uri is None
    assert record.executor_input == capsule.record.executor_input


def test_unpacked_capsule_plays_without_the_store(exported, tmp_path, store):
    for file in (store.root / "runs").rglob("*"):
        if file.is_file():
            file.unlink()
    capsule = unpack(exported, tmp_path / "elsewhere")
    assert play(prepare_replay(capsule)).parameters["Output"] == "hello!:5"


def test_unpacking_again_takes_what_is_there(exported, tmp_path):
    first = unpack(exported, tmp_path / "elsewhere")
    assert unpack(exported, tmp_path / "elsewhere").folder == first.folder
    assert len(list((tmp_path / "elsewhere").iterdir())) == 1


def test_file_changed_after_it_was_unpacked_is_refused(exported, tmp_path):
    unpack(exported, tmp_path / "elsewhere")
    rewrite(exported, lambda members: members.update({"inputs/0/data": b"other"}))
    with pytest.raises(InputError, match="inputs/0/data has SHA-256"):
        unpack(exported, tmp_path / "elsewhere")


def test_secrets_stay_out(run, store):
    task = read_task(store, run(samples.artifacts), "read")
    task.environment = {
        "GREETING": "hello",
        "AWS_SECRET_ACCESS_KEY": "x",
        "HF_TOKEN": "x",
        "DB_PASSWORD": "x",
        "DATABASE_URL": "postgresql://me:hunter2@db/x",
        "KEYBOARD": "qwerty",
    }
    kept, left_out = without_secrets(task)
    assert set(kept.environment) == {"GREETING", "KEYBOARD"}
    assert left_out == ["AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "DB_PASSWORD", "HF_TOKEN"]


def test_capsule_has_no_variable_of_the_machine(run, capsule_of, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_OWN_CANARY", "canary-value")
    record = run(samples.artifacts)
    capsule = capsule_of(f"{record.run_id}/read")
    for _, file in files_of(capsule.folder):
        assert b"canary-value" not in file.read_bytes()


ESCAPES = ["../evil", "inputs/../../evil", "/tmp/evil", "inputs/0/../../../evil", "a\\..\\evil"]


@pytest.mark.parametrize("name", ESCAPES)
def test_member_outside_is_refused(name, exported, tmp_path):
    rewrite(exported, lambda members: members.update({name: b"evil"}))
    with pytest.raises(InputError):
        unpack(exported, tmp_path / "elsewhere")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("place", [*ESCAPES, "record.json", "replays/1", ""])
def test_input_outside_is_refused(place, exported, tmp_path):
    def move(members: dict[str, bytes]) -> None:
        manifest = Manifest.from_json(members[MANIFEST], Path("stranger"))
        (item,) = manifest.inputs["data"]
        sign(members, inputs={"data": [replace(item, path=place, is_folder=True)]})

    rewrite(exported, move)
    with pytest.raises(InputError):
        unpack(exported, tmp_path / "elsewhere")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO])
def test_link_or_device_is_refused(kind, exported, tmp_path):
    with zipfile.ZipFile(exported) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(exported, "w") as file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (kind if name.startswith("inputs") else stat.S_IFREG) << 16
            file.writestr(info, content)
    with pytest.raises(InputError, match="is a link or device"):
        unpack(exported, tmp_path / "elsewhere")
    assert not list((tmp_path / "elsewhere").glob("*"))


def test_unannounced_member_is_refused(exported, tmp_path):
    rewrite(exported, lambda members: members.update({"inputs/0/more": b"x"}))
    with pytest.raises(InputError, match="'inputs/0/more' is not announced"):
        unpack(exported, tmp_path / "elsewhere")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_second_member_of_a_name_is_refused(exported, tmp_path):
    with zipfile.ZipFile(exported, "a") as file:
        file.writestr("inputs/0/data", b"other")
    with pytest.raises(InputError):
        unpack(exported, tmp_path / "elsewhere")


def test_bomb_is_refused_before_it_is_unpacked(exported, tmp_path):
    bomb = bytes(50_000_000)
    with zipfile.ZipFile(exported) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(exported, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, bomb if name.startswith("inputs") else content)
    assert exported.stat().st_size < 100_000
    with pytest.raises(InputError, match=r"takes 50,00\d,\d+ bytes unpacked, want at most"):
        unpack(exported, tmp_path / "elsewhere", max_bytes=10_000_000)
    assert not list((tmp_path / "elsewhere").glob("*"))


def test_member_larger_than_it_says_is_refused(exported, tmp_path):
    rewrite(exported, lambda members: members.update({"inputs/0/data": bytes(5000)}))
    content = exported.read_bytes()
    said = (5000).to_bytes(4, "little") * 2
    assert content.count(said) == 2
    small = (5000).to_bytes(4, "little") + (5).to_bytes(4, "little")
    exported.write_bytes(content.replace(said, small))
    with pytest.raises(InputError):
        unpack(exported, tmp_path / "elsewhere")
    assert not list((tmp_path / "elsewhere").glob("*"))


def test_every_truncation_is_one_clear_error(exported, tmp_path):
    content = exported.read_bytes()
    for size in range(0, len(content), max(1, len(content) // 60)):
        exported.write_bytes(content[:size])
        with pytest.raises(InputError):
            unpack(exported, tmp_path / "elsewhere")
        assert not list((tmp_path / "elsewhere").glob("*"))


def test_changed_byte_never_changes_what_is_played(exported, tmp_path):
    content = exported.read_bytes()
    original = unpack(exported, tmp_path / "original")
    refused = 0
    for place in range(0, len(content), max(1, len(content) // 150)):
        changed = bytearray(content)
        changed[place] ^= 0x41
        exported.write_bytes(changed)
        try:
            found = unpack(exported, tmp_path / str(place))
        except InputError:
            refused += 1
            continue
        assert found.sha256 == original.sha256
    assert refused > 100


def test_changed_record_is_refused(exported, tmp_path):
    def change(members: dict[str, bytes]) -> None:
        record = json.loads(members["record.json"])
        record["executor_input"]["inputs"]["parameterValues"]["suffix"] = "?"
        members["record.json"] = json.dumps(record).encode()

    rewrite(exported, change)
    with pytest.raises(InputError, match=r"record\.json has SHA-256"):
        unpack(exported, tmp_path / "elsewhere")


@pytest.mark.parametrize(
    "content",
    [b"", b"x" * 100, b"PK\x05\x06" + bytes(18), b"[]", b"PK\x05\x06" + b"\xff" * 16 + b"\0\0"],
)
def test_other_files_are_no_capsules(content, tmp_path):
    path = tmp_path / "other.capsule"
    path.write_bytes(content)
    with pytest.raises(InputError):
        unpack(path, tmp_path / "elsewhere")


def test_absent_file_is_not_found(tmp_path):
    with pytest.raises(NotFoundError):
        unpack(tmp_path / "none.capsule", tmp_path)


def test_only_what_was_agreed_to_is_trusted(exported, tmp_path):
    capsule = unpack(exported, tmp_path / "elsewhere")
    assert not is_trusted(capsule)
    trust(capsule)
    assert is_trusted(capsule)
    other = replace(capsule, manifest=replace(capsule.manifest, pipeline="other"))
    assert not is_trusted(other)


def test_prune_keeps_what_was_used_last(run, store, capsule_of):
    record = run(samples.chain)
    folders = [capsule_of(f"{record.run_id}/{task}").folder for task in ("add", "add-2")]
    os.utime(folders[0] / MANIFEST, (0, 0))
    kept = kept_capsules(shelf(store))
    assert [item.folder for item in kept] == folders[::-1]
    (doomed,) = to_prune(kept, None, keep=1)
    remove_capsule(doomed, shelf(store))
    assert not folders[0].parent.exists()
    assert folders[1].exists()


def test_prune_survives_a_broken_capsule(run, store, capsule_of):
    record = run(samples.chain)
    (capsule_of(f"{record.run_id}/add").folder / MANIFEST).write_text("{")
    (item,) = kept_capsules(shelf(store))
    assert "broken" in item.address


def test_run_record_names_its_environment(run, capsule_of, store):
    record = run(samples.chain)
    capsule = capsule_of(f"{record.run_id}/add")
    assert capsule.manifest.environment["packages"]["kfp"]
    assert capsule.manifest.commit == find_run(store, record.run_id).commit


def test_broken_manifest_is_told_by_the_capsules_name(exported, tmp_path):
    rewrite(exported, lambda members: members.update({MANIFEST: b"{}"}))
    with pytest.raises(InputError, match=f"capsule {exported}: got no manifest"):
        unpack(exported, tmp_path / "elsewhere")
