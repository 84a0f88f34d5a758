"""Arrays that PyTorch, safetensors or HDF5 wrote, whichever of their forms a file has; nothing of it is ever executed."""

from pathlib import Path
from typing import IO, Any

from jaxsoft import errors, files
from jaxsoft.data import refusals
from jaxsoft.data.formats import safetensors_file, torch_file

_WANTED = "wanted .pt or .pth of torch.save, or .safetensors, or .h5"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_SEEMS = {
    b"version https://git-lfs": "a pointer of Git LFS; `git lfs pull` fetches the file itself",
    b"<": "a web page, as a failed download leaves it; load it down again",
    b"\x93NUMPY": "an array of NumPy",
    b"\x1f\x8b": "packed by gzip; unpack it first",
    b"\x80": "a bare pickle",
}
"""What a file that is none of ours seems to be, by how it begins."""


def read(path: Path) -> Any:
    """What a file holds: dictionaries, lists, tuples, text and numbers, and NumPy arrays in the place of tensors.

    bfloat16 is float32 here, a NumPy scalar is a number, and an argparse.Namespace is None. Arrays may be views of one
    another, and cannot be written to.

    Raises:
      DataError: the file is missing or damaged, is of another kind, or holds more than such values; in one line.
    """
    with refusals.naming(f"cannot read {path}"), files.opened(path) as file:
        head = file.read(512)
        file.seek(0)
        if head.startswith(torch_file.ZIP):
            return torch_file.read_zip(path)
        if head.startswith(torch_file.LEGACY):
            return torch_file.read_legacy(file)
        if head.startswith(_HDF5):
            return _hdf5(file)
        if path.suffix == ".safetensors" or head[8:9] == b"{":
            return safetensors_file.read(file)
        raise ValueError(f"it is {_kind(head)}; {_WANTED}")


def _hdf5(file: IO[bytes]) -> Any:
    try:
        from jaxsoft.data.formats import hdf5
    except ImportError:
        raise ValueError(f"it is HDF5, which h5py reads; {errors.install('hdf5')}") from None
    return hdf5.read(file)


def _kind(head: bytes) -> str:
    if not head:
        return "empty"
    if head[257:262] == b"ustar":
        return "a tar"
    begins = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    return next((told for start, told in _SEEMS.items() if begins.startswith(start)), "of no kind that is known")
