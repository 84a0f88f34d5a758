"""Files are replaced whole, never through a link; what is no regular file is refused before it hangs."""

import hashlib
import os
import stat

import pytest

from jaxsoft import errors, files


def test_a_file_is_replaced_whole(tmp_path):
    target = tmp_path / "table.csv"
    target.write_bytes(b"before")
    files.replace(target, b"after")
    assert target.read_bytes() == b"after"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_a_failed_replacement_leaves_the_file_and_nothing_beside_it(tmp_path, monkeypatch):
    target = tmp_path / "table.csv"
    target.write_bytes(b"before")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        files.replace(target, b"after")
    assert target.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_links_are_replaced_not_followed(tmp_path):
    victim, target = tmp_path / "victim", tmp_path / "summary.md"
    victim.write_bytes(b"precious")
    target.symlink_to(victim)
    (tmp_path / ".summary.md.tmp").symlink_to(victim)
    files.replace(target, b"report")
    assert victim.read_bytes() == b"precious"
    assert not target.is_symlink() and target.read_bytes() == b"report"


def test_several_files_are_replaced_or_none(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_bytes(b"before")
    files.replace_all(tmp_path, {"a": b"1", "sub/b": b"2"})
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "sub" / "b").read_bytes()) == (b"1", b"2")
    left = [None] * 3  # a file and its folder, then the next file: its folder cannot be synced any more
    monkeypatch.setattr(os, "fsync", lambda _: left.pop())
    with pytest.raises(IndexError):
        files.replace_all(tmp_path, {"a": b"3", "sub/b": b"4"})
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "sub" / "b").read_bytes()) == (b"1", b"2")
    assert sorted(os.listdir(tmp_path)) == ["a", "sub"]


def test_the_umask_of_the_user_decides_who_may_read(tmp_path):
    before = os.umask(0o027)
    try:
        files.replace(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "named pipe"), (tmp_path, "folder"), ("/dev/zero", "device")):
        with pytest.raises(OSError) as refused:
            files.read(path, 10)
        assert kind in refused.value.strerror


def test_a_file_larger_than_plausible_is_not_read(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert files.read(tmp_path / "a", 5) == b"12345"
    with pytest.raises(OSError, match="more than the 4 bytes"):
        files.read(tmp_path / "a", 4)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain ü 猫", "plain ü 猫"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\nb\r\x07", "a\\nb\\r\\x07"),
        ("right\u202eleft", "right\\u202eleft"),
        ("\udcff", "\\udcff"),
    ],
)
def test_text_from_outside_is_shown_escaped(text, seen):
    assert errors.shown(text) == seen


def test_a_digest_is_that_of_all_parts_in_a_row():
    wanted = hashlib.sha256("aü".encode() + bytes(range(100))).hexdigest()
    assert files.digest(["a", "ü", bytes(range(7)), memoryview(bytes(range(7, 100)))]) == wanted
    assert files.digest([]) == hashlib.sha256().hexdigest()


def test_a_sealed_record_notices_a_change():
    sealed = files.seal({"tag": {"config": "ab"}, "nothing": float("nan")})
    assert files.unseal(sealed)["tag"] == {"config": "ab"}
    for altered in ({**sealed, "tag": {"config": "aB"}}, {**sealed, "more": 1}, {"tag": {"config": "ab"}}):
        with pytest.raises(ValueError, match="not what was saved"):
            files.unseal(altered)
