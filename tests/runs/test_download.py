import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from adlib.runs.download import fetch


def make_tar(members: dict[str, bytes], *, link: tuple[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        if link:
            entry = tarfile.TarInfo(link[0])
            entry.type, entry.linkname = tarfile.SYMTYPE, link[1]
            archive.addfile(entry)
    return buffer.getvalue()


def make_zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def serve():
    """Serve bytes on loopback; `breaks_at` makes the first answer stop early, `ranges=False` ignores Range."""
    servers = []

    def start(content: bytes, name: str = "set.tar.gz", *, breaks_at: int | None = None, ranges: bool = True):
        asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                wanted = self.headers.get("Range")
                asked.append(wanted)
                begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and ranges else 0
                if begin and begin >= len(content):
                    return self.send_error(416)
                self.send_response(206 if begin else 200)
                self.send_header("Content-Length", str(len(content) - begin))
                self.end_headers()
                end = breaks_at if breaks_at and len(asked) == 1 else None
                return self.wfile.write(content[begin:end])

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/{name}", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


MEMBERS = {"set/bolt/train/good/000.png": b"a" * 5000, "set/readme.txt": b"words"}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(("make", "name"), [(make_tar, "set.tar.gz"), (make_zip, "set.zip")])
def test_an_archive_is_fetched_checked_and_unpacked(serve, tmp_path, make, name):
    content = make(MEMBERS)
    url, _ = serve(content, name)
    target = fetch(url, sha256=sha256(content), folder=tmp_path)
    assert target == tmp_path / "set"       # the single top folder is left out
    assert (target / "bolt/train/good/000.png").read_bytes() == b"a" * 5000
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_where_it_stopped(serve, tmp_path, ranges):
    content = make_tar({"set/noise": bytes(range(256)) * 400})
    url, asked = serve(content, breaks_at=len(content) // 2, ranges=ranges)
    with pytest.raises(OSError, match="call again to go on"):
        fetch(url, sha256=sha256(content), folder=tmp_path)
    assert fetch(url, sha256=sha256(content), folder=tmp_path).is_dir()
    assert asked == [None, f"bytes={len(content) // 2}-"]


def test_a_whole_part_is_not_downloaded_again(serve, tmp_path):
    content = make_tar(MEMBERS)
    url, _ = serve(content)
    (tmp_path / "set.tar.gz.part").write_bytes(content)
    assert (fetch(url, sha256=sha256(content), folder=tmp_path) / "readme.txt").is_file()


def test_a_wrong_checksum_unpacks_nothing_and_starts_anew(serve, tmp_path):
    url, _ = serve(make_tar(MEMBERS))
    with pytest.raises(ValueError, match=f"expected {'0' * 64}"):
        fetch(url, sha256="0" * 64, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [
    make_tar({"../evil.txt": b"x"}), make_tar({"a/../../evil.txt": b"x"}),
    make_tar({}, link=("set/door", "../../outside")), make_tar({}, link=("set/door", "/etc/passwd")),
    make_zip({"../evil.txt": b"x"}), make_zip({"/evil.txt": b"x"}), b"this is no archive",
], ids=["tar above", "tar within and above", "tar link above", "tar link to /etc", "zip above", "zip absolute", "text"])
def test_nothing_lands_or_points_outside(serve, tmp_path, content):
    folder = tmp_path / "data"
    url, _ = serve(content, "set.zip" if content[:2] == b"PK" else "set.tar.gz")
    with pytest.raises(ValueError, match="was not unpacked"):
        fetch(url, sha256=sha256(content), folder=folder)
    assert not (tmp_path / "evil.txt").exists()
    assert [p.name for p in folder.iterdir()] == [p.name for p in folder.glob("*.part")]


def test_an_existing_folder_is_left_alone(tmp_path):
    (tmp_path / "set").mkdir()
    with pytest.raises(FileExistsError, match="set is there already"):
        fetch("http://127.0.0.1:9/set.tar.gz", folder=tmp_path)


def test_the_sum_is_printed_when_none_is_given(serve, tmp_path, capsys):
    content = make_tar(MEMBERS)
    url, _ = serve(content)
    fetch(url, folder=tmp_path, name="other")
    assert sha256(content) in capsys.readouterr().out
    assert (tmp_path / "other").is_dir()
