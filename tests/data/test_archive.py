import gzip
import io
import os
import tarfile
import tracemalloc
import zipfile

import pytest

from jaxsoft import errors
from jaxsoft.data.formats import archive


def packed(path, members):
    """An archive of (name, content) members; a content of None makes a link to /etc/passwd."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack:
            for name, content in members:
                info = zipfile.ZipInfo(name)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = (0o120777 if content is None else 0o100644) << 16
                pack.writestr(info, b"/etc/passwd" if content is None else content)
    else:
        with tarfile.open(path, "w:gz") as pack:
            for name, content in members:
                info = tarfile.TarInfo(name)
                if content is None:
                    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                info.size = len(content or b"")
                pack.addfile(info, io.BytesIO(content or b""))
    return path


@pytest.fixture(params=["x.zip", "x.tar.gz"])
def path(request, tmp_path):
    return tmp_path / request.param


def test_files_are_found_below_the_top_folder(path):
    found = archive.files(packed(path, [("top/a.txt", b"1"), ("./top/b/c.txt", b"22"), ("other/d", b"3")]), "top")
    assert found.contents.keys() == {"a.txt", "b/c.txt"}
    assert found.read("b/c.txt") == b"22"
    with pytest.raises(errors.DataError, match=r"x\.(zip|tar\.gz) lacks d"):
        found.read("d")


def test_a_folder_reads_like_an_archive(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.txt").write_bytes(b"22")
    found = archive.files(tmp_path, "ignored")
    assert (set(found.contents), found.read("b/c.txt")) == ({"b/c.txt"}, b"22")
    (tmp_path / "b" / "c.txt").unlink()
    with pytest.raises(errors.DataError, match="b/c.txt cannot be read"):
        found.read("b/c.txt")


@pytest.mark.parametrize("member", ["../evil", "top/../../evil", "/etc/evil", "C:\\evil", "top\\..\\evil"])
def test_paths_that_leave_the_folder_are_refused(path, member):
    with pytest.raises(errors.DataError, match="are refused"):
        archive.files(packed(path, [("top/a.txt", b"1"), (member, b"2")]), "top")


def test_links_are_refused(path):
    with pytest.raises(errors.DataError, match="'top/link'.*are refused"):
        archive.files(packed(path, [("top/link", None)]), "top")


def test_bombs_are_refused(path):
    with pytest.raises(errors.DataError, match="implausible"):
        archive.files(packed(path, [("top/zeros", bytes(5_000_000))]), "top")


def test_a_bomb_in_a_header_of_a_tar_is_refused_before_it_fills_memory(tmp_path):
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as pack:
        info = tarfile.TarInfo("top/a")
        info.pax_headers = {"comment": "x" * 20_000_000}
        pack.addfile(info)
    tracemalloc.start()
    with pytest.raises(errors.DataError, match="implausible"):
        archive.files(tmp_path / "x.tar.gz", "top")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15_000_000


def test_absurdly_many_files_are_refused(path, monkeypatch):
    monkeypatch.setattr(archive, "_MAX_FILES", 2)
    archive.files(packed(path, [("top/a", b"1"), ("top/b", b"2")]), "top")
    with pytest.raises(errors.DataError, match="holds more than 2 files"):
        archive.files(packed(path, [("top/a", b"1"), ("top/b", b"2"), ("top/c", b"2")]), "top")


def test_pipes_and_devices_are_refused_before_they_hang(path, tmp_path):
    os.mkfifo(path)
    with pytest.raises(errors.DataError, match="cannot be read as an archive: .*named pipe"):
        archive.files(path, "top")
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(errors.DataError, match="a device"):
        archive.files(path, "top")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder" / "a.bin")
    with pytest.raises(errors.DataError, match="a.bin cannot be read: .*named pipe"):
        archive.files(tmp_path / "folder", "top").read("a.bin")


def test_a_cut_archive_is_refused(path):
    whole = packed(path, [("top/a", bytes(range(256)) * 40), ("top/b", b"2")]).read_bytes()
    for end in (0, 1, len(whole) // 2, len(whole) - 12):
        path.write_bytes(whole[:end])
        with pytest.raises(errors.DataError, match="cannot be read as an archive"):
            archive.files(path, "top")


def test_bent_bits_never_reach_the_content(path):
    content = bytes(range(256)) * 4
    whole = packed(path, [("top/a", content)]).read_bytes()
    refused = 0
    for position in range(len(whole)):
        bent = bytearray(whole)
        bent[position] ^= 1 << position % 8
        path.write_bytes(bent)
        try:
            assert archive.files(path, "top").read("a") == content
        except errors.DataError:
            refused += 1
    assert refused > len(whole) / 2


def test_locate_prefers_the_folder_and_accepts_it_directly(tmp_path):
    assert archive.locate(tmp_path, "set", "set.zip") is None
    (tmp_path / "set.zip").touch()
    assert archive.locate(tmp_path, "set", "set.zip") == tmp_path / "set.zip"
    assert archive.locate(tmp_path / "set.zip", "set", "set.zip") == tmp_path / "set.zip"
    (tmp_path / "set").mkdir()
    assert archive.locate(tmp_path, "set", "set.zip") == tmp_path / "set"
    assert archive.locate(tmp_path / "set", "set", "set.zip") == tmp_path / "set"


def test_a_tar_that_never_ends_and_a_file_with_holes_are_refused(tmp_path):
    holes, back = tarfile.TarInfo("top/a"), tarfile.TarInfo("top/a")
    back.size = -512  # whose next header is itself
    holes.type = tarfile.GNUTYPE_SPARSE
    for info, message in ((back, "a file of negative size"), (holes, "'top/a'.*are refused")):
        with gzip.open(tmp_path / "x.tar.gz", "wb") as file:
            file.write(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
        with pytest.raises(errors.DataError, match=message):
            archive.files(tmp_path / "x.tar.gz", "top")
