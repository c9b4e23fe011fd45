"""Cut off from shared libraries what follows their segments: what only debuggers read.

The loader goes by the segments alone. `strip` does the same; slim base images are without it.
"""

import struct
import sys
from pathlib import Path

_MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little-endian
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")


def shorten(path: Path) -> int:
    """Shorten a library in place, and return by how many bytes."""
    content = path.read_bytes()
    if not content.startswith(_MAGIC):
        return 0
    header = list(_HEADER.unpack_from(content))
    start, size, count = header[5], header[9], header[10]
    segments = [_SEGMENT.unpack_from(content, start + size * number) for number in range(count)]
    end = max(
        [start + size * count, *(offset + length for _, _, offset, _, _, length, *_ in segments)]
    )
    if end >= len(content):
        return 0
    header[6] = header[12] = header[13] = 0  # the table of sections goes with them
    path.write_bytes(_HEADER.pack(*header) + content[_HEADER.size : end])
    return len(content) - end


if __name__ == "__main__":
    for library in Path(sys.argv[1]).rglob("*.so*"):
        if library.is_file() and not library.is_symlink():
            shorten(library)
