"""Getting livekit-server: on PATH, kept, built, downloaded, in that order."""

import hashlib
import http.server
import io
import os
import stat
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.settings import Settings
from api.up import livekit_config, livekit_release, livekit_server
from api.up.errors import CannotStart
from api.up.livekit_release import DownloadFailed


def program(path: Path, script: str) -> Path:
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def server(path: Path, version: str = livekit_server.VERSION) -> Path:
    """Something that says it is livekit-server."""
    return program(path, f"echo livekit-server version {version}")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing but a shell's needs on it, and a folder of ours before."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    return folder


def settings(tmp_path: Path, **more: str) -> Settings:
    return Settings.load({"CALL2ME_HOME": str(tmp_path / "home"), **more})


def test_the_one_that_was_named_is_taken_whatever_its_version(tmp_path: Path, path: Path) -> None:
    server(path / "livekit-server")
    named = server(tmp_path / "mine", "9.9.9")
    found = livekit_server.find(settings(tmp_path, CALL2ME_LIVEKIT_SERVER=str(named)))
    assert found == livekit_server.Found(named, "9.9.9", "CALL2ME_LIVEKIT_SERVER")


def test_the_one_on_path_comes_before_ours(tmp_path: Path, path: Path) -> None:
    server(tmp_path / "home" / "bin" / "livekit-server")
    server(path / "livekit-server", "1.13.7")
    found = livekit_server.find(settings(tmp_path))
    assert found is not None
    assert (found.origin, found.version) == ("PATH", "1.13.7")


@pytest.mark.parametrize("version", ["1.9.1", "1.13.4", "1.14.0", "2.0.0", "1.13.5-rc1"])
def test_another_version_on_path_is_left_alone(tmp_path: Path, path: Path, version: str) -> None:
    server(path / "livekit-server", version)
    assert livekit_server.find(settings(tmp_path)) is None
    kept = server(tmp_path / "home" / "bin" / "livekit-server")
    assert livekit_server.find(settings(tmp_path)) == livekit_server.Found(kept, "1.13.5", "cache")


@pytest.mark.parametrize("script", ["exit 1", "echo something else", "echo livekit-server version"])
def test_what_is_no_livekit_server_is_not_used(tmp_path: Path, path: Path, script: str) -> None:
    program(path / "livekit-server", script)
    assert livekit_server.find(settings(tmp_path)) is None


def test_go_builds_it_where_it_is_new_enough(tmp_path: Path, path: Path) -> None:
    go = f"""
    if [ "$1" = env ]; then echo go1.26.8; exit; fi
    echo "$@" "$CGO_ENABLED" > {tmp_path}/asked
    printf '#!/bin/sh\\necho livekit-server version 1.13.5\\n' > "$GOBIN/server"
    chmod +x "$GOBIN/server"
    """
    program(path / "go", go)
    said: list[str] = []
    found = livekit_server.get(settings(tmp_path), said.append)
    assert found == livekit_server.Found(tmp_path / "home" / "bin" / "livekit-server", "1.13.5", "cache")
    assert (tmp_path / "asked").read_text().split() == [
        "install",
        "github.com/livekit/livekit-server/cmd/server@v1.13.5",
        "0",
    ]
    assert said[0].startswith("Building livekit-server 1.13.5 with Go 1.26")
    # The second time there is nothing to do, and no half-made folder is left.
    assert livekit_server.get(settings(tmp_path), said.append) == found
    assert [each.name for each in (tmp_path / "home" / "bin").iterdir()] == ["livekit-server"]
    assert len(said) == 2


def test_something_else_that_was_built_is_not_kept(tmp_path: Path, path: Path) -> None:
    go = """
    if [ "$1" = env ]; then echo go1.27.0; exit; fi
    printf '#!/bin/sh\\necho livekit-server version 1.9.0\\n' > "$GOBIN/server"
    chmod +x "$GOBIN/server"
    """
    program(path / "go", go)
    with pytest.raises(CannotStart, match="nothing was kept"):
        livekit_server.get(settings(tmp_path), lambda _: None)
    assert list((tmp_path / "home" / "bin").iterdir()) == []


def test_without_any_way_to_get_it_one_sentence_says_what_to_do(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(path / "go", "echo go1.19.8")
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    said: list[str] = []
    with pytest.raises(
        CannotStart, match=r"install Go 1\.26 or later, or put livekit-server 1\.13\.5 on PATH"
    ):
        livekit_server.get(settings(tmp_path), said.append)
    assert any("no official release" in line for line in said)


def test_without_a_network_it_says_that_one_would_do(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")

    def unreachable(name: str, folder: Path) -> Path:
        raise DownloadFailed("The release could not be downloaded (Name or service not known)")

    monkeypatch.setattr(livekit_release, "download", unreachable)
    said: list[str] = []
    with pytest.raises(
        CannotStart, match=r"let this machine reach the internet, or install Go 1\.26 or later, or put"
    ):
        livekit_server.get(settings(tmp_path), said.append)
    assert said[-1] == "The release could not be downloaded (Name or service not known)."


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "livekit_1.13.5_linux_amd64.tar.gz"),
        ("Linux", "aarch64", "livekit_1.13.5_linux_arm64.tar.gz"),
        ("Linux", "armv7l", "livekit_1.13.5_linux_armv7.tar.gz"),
        ("Linux", "riscv64", None),
        ("Darwin", "arm64", None),
    ],
)
def test_the_release_for_a_platform(system: str, machine: str, name: str | None) -> None:
    assert livekit_release.asset(system, machine) == name


class Release:
    """A server of one file, over real HTTP."""

    def __init__(self, body: bytes) -> None:
        self.sha256 = hashlib.sha256(body).hexdigest()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not self.path.endswith("/livekit.tar.gz"):
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return buffer.getvalue()


@pytest.fixture
def release() -> Iterator[Release]:
    made = Release(archive({"LICENSE": b"apache", "../escape": b"no", "livekit-server": b"#!/bin/sh\n"}))
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_release_is_checked_and_only_the_server_is_unpacked(tmp_path: Path, release: Release) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    binary = livekit_release.download(
        "livekit.tar.gz", folder, address=release.address, sha256=release.sha256
    )
    assert binary.read_bytes() == b"#!/bin/sh\n"
    assert binary.stat().st_mode & stat.S_IXUSR
    assert sorted(each.name for each in folder.iterdir()) == ["livekit-server", "livekit.tar.gz"]
    assert [each.name for each in tmp_path.iterdir()] == ["inside"]


def test_a_release_with_another_checksum_is_removed(tmp_path: Path, release: Release) -> None:
    with pytest.raises(DownloadFailed, match="checksum"):
        livekit_release.download("livekit.tar.gz", tmp_path, address=release.address, sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_release_that_cannot_be_reached_says_why(tmp_path: Path, release: Release) -> None:
    with pytest.raises(DownloadFailed, match="404"):
        livekit_release.download("other.tar.gz", tmp_path, address=release.address, sha256="0" * 64)
    with pytest.raises(DownloadFailed, match=r"downloaded \(Connection refused\)$"):
        livekit_release.download("x", tmp_path, address="http://127.0.0.1:1", sha256="0" * 64)


def test_every_pinned_checksum_is_a_sha256() -> None:
    assert all(len(bytes.fromhex(digest)) == 32 for digest in livekit_release.SHA256.values())


def test_the_configuration_has_the_ports_and_no_secret(tmp_path: Path) -> None:
    given = settings(tmp_path, CALL2ME_LIVEKIT_PORT="7001", CALL2ME_LIVEKIT_UDP_PORT="7002")
    text = livekit_config.render(given)
    assert "\nport: 7001\n" in f"\n{text}"
    assert "  udp_port: 7002\n" in text
    assert 'bind_addresses: ["127.0.0.1"]' in text
    assert given.secrets.livekit_api_secret not in text
    assert livekit_config.keys(given) == {
        "LIVEKIT_KEYS": f"{given.secrets.livekit_api_key}: {given.secrets.livekit_api_secret}"
    }


def test_on_an_address_that_others_reach_nothing_is_bound_to_loopback(tmp_path: Path) -> None:
    text = livekit_config.render(settings(tmp_path, CALL2ME_HOST="0.0.0.0"))  # noqa: S104
    assert '127.0.0.1"]' not in text.replace('stun_servers: ["127.0.0.1:3478"]', "")
    assert "node_ip" not in text
    assert "udp_port: 7882" in text


def test_a_build_that_is_interrupted_leaves_no_process(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(
        path / "go", f'[ "$1" = env ] && echo go1.26.0 || {{ echo $$ > {tmp_path}/pid; exec sleep 600; }}'
    )
    monkeypatch.setattr(livekit_server, "HEARTBEAT_SECONDS", 0.05)

    def interrupt(text: str) -> None:
        if "still building" in text and (tmp_path / "pid").exists():
            monkeypatch.setattr(livekit_server, "HEARTBEAT_SECONDS", 60.0)
            os.kill(os.getpid(), 2)

    with pytest.raises(KeyboardInterrupt):
        livekit_server.get(settings(tmp_path), interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
