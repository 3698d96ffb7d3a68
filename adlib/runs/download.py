"""Fetch an archive of a data set: resumed where it stopped, checked, unpacked without leaving its folder."""

import hashlib
import shutil
import tarfile
import tempfile
import urllib.request
import zipfile
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlparse

from adlib import find_output
from adlib.data.listing import visible


def fetch(url: str, *, sha256: str | None = None, name: str | None = None, folder: str | Path = "data") -> Path:
    """Download an archive, going on where an earlier call stopped, check it, and unpack it into `folder`/`name`.

    Parameters
    ----------
    url : str
        Of a .tar, .tar.gz, .tar.xz, .tgz or .zip.
    sha256 : str, optional
        Of the archive, in hexadecimal; the sum found is printed.
    name : str, optional
        Folder to make; by default the archive's name. An archive's single top folder is left out.

    Raises
    ------
    FileExistsError, ValueError
        The folder is there already; a wrong checksum, no archive, or a member that would land outside.
    """
    folder = find_output(folder)
    archive = folder / (Path(urlparse(url).path).name or "archive")
    target = folder / (name or archive.name.split(".tar")[0].removesuffix(".tgz").removesuffix(".zip"))
    if target.exists():
        raise FileExistsError(f"{target} is there already; remove it, or give another name")
    folder.mkdir(parents=True, exist_ok=True)
    part = archive.with_name(archive.name + ".part")
    download_file(url, part)
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 and found != sha256.lower():
        part.unlink()
        raise ValueError(f"{url} has sha256 {found}, expected {sha256}; the download was removed, "
                         f"try again or check the sum")
    print(f"sha256 {found} ({'as expected' if sha256 else 'not checked: none was given'})", flush=True)
    unpack(part, target)
    part.unlink()
    return target


def download_file(url: str, part: Path, *, chunk: int = 50 << 20) -> None:
    """Fetch `url` into `part`, appending to what is there if the server can send the rest."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except HTTPError as error:
        if error.code == 416 and have:      # nothing is left to send: the part is complete
            return
        raise
    with response, part.open("ab" if response.status == 206 else "wb") as file:
        total = file.tell() + int(response.headers.get("Content-Length") or 0)
        while data := response.read(chunk):
            file.write(data)
            print(f"{file.tell() / 1e6:.0f} of {total / 1e6:.0f} MB", flush=True)
        if file.tell() < total:
            raise OSError(f"{url} broke off at {file.tell()} of {total} bytes; call again to go on from there")


def unpack(archive: Path, target: Path) -> None:
    """Unpack into a temporary folder, refuse members that would land or point outside, then rename to `target`."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as temporary:
        inside = Path(temporary) / "content"
        try:
            if zipfile.is_zipfile(archive):
                with zipfile.ZipFile(archive) as file:
                    for member in file.namelist():
                        if Path(member).is_absolute() or ".." in Path(member).parts:
                            raise ValueError(f"{member!r} would land outside the folder")
                    file.extractall(inside)      # writes links as plain files
            else:
                with tarfile.open(archive) as file:
                    file.extractall(inside, filter="data")
        except (tarfile.TarError, zipfile.BadZipFile, ValueError) as error:
            raise ValueError(f"{archive} was not unpacked ({error}); remove it and use a source you trust") from error
        top = visible(inside)
        shutil.move(str(top[0] if len(top) == 1 and top[0].is_dir() else inside), str(target))
