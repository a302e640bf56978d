"""Packs files into a .tar.gz that depends on their content alone: archive.py ARCHIVE FILE..."""

import gzip
import os
import sys
import tarfile

archive, *paths = sys.argv[1:]
with open(archive, "wb") as raw, gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as packed:
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in paths:
            entry = tarfile.TarInfo(os.path.basename(path))
            entry.size = os.path.getsize(path)
            entry.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            with open(path, "rb") as content:
                tar.addfile(entry, content)
