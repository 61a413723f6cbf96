"""A real nginx before the api, as docs/custom-domains.md has it, with certificates of its own authority."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port

PAGE = Path(__file__).resolve().parents[2] / "docs" / "custom-domains.md"
DOMAINS = ("help.acme.example", "talk.globex.example")
"""Those of the page."""
_START_SECONDS = 15
_AROUND = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  include domains.conf;
}}
"""


@dataclass(frozen=True)
class Nginx:
    """Where it listens, and who signed its certificates."""

    port: int
    authority: Path
    folder: Path

    @property
    def curlrc(self) -> str:
        """With this in `.curlrc` each domain leads here, and its certificate is checked."""
        lines = [f'connect-to = "{name}:443:127.0.0.1:{self.port}"' for name in DOMAINS]
        return "\n".join(["silent", f'cacert = "{self.authority}"', *lines, ""])

    @property
    def flags(self) -> list[str]:
        """With these Chromium finds each domain here, and takes only certificates of the authority."""
        return [
            f"--host-resolver-rules=MAP *:443 127.0.0.1:{self.port}",
            f"--ignore-certificate-errors-spki-list={_key_of(self.authority)}",
        ]


@contextmanager
def running_nginx(folder: Path, api_port: int) -> Iterator[Nginx]:
    """Serve both domains until the block ends."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    nginx = Nginx(free_port(), folder / "authority.pem", folder)
    common, domains = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for domain in DOMAINS:
        assert f"server_name {domain};" in domains
        _sign(folder, domain)
    (folder / "snippets").mkdir()
    (folder / "snippets" / "call2me.conf").write_text(
        common.replace("127.0.0.1:8000", f"127.0.0.1:{api_port}")
    )
    domains = domains.replace("listen 443", f"listen 127.0.0.1:{nginx.port}")
    (folder / "domains.conf").write_text(domains.replace("/etc/letsencrypt/live", str(folder)))
    (folder / "nginx.conf").write_text(_AROUND.format(folder=folder))
    process = subprocess.Popen(
        [program, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
    )
    try:
        _wait(nginx, process)
        yield nginx
    finally:
        process.terminate()
        process.wait(10)


def _wait(nginx: Nginx, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", nginx.port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((nginx.folder / "error.log").read_text()) from None
            time.sleep(0.05)
        else:
            return


def _sign(folder: Path, domain: str) -> None:
    """A certificate for a domain, with the authority behind it."""
    authority, key = folder / "authority.pem", folder / "authority.key"
    new = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    if not authority.exists():
        _run(f"{new} -x509 -subj /CN=Tests -keyout {key} -out {authority}")
    own = folder / domain
    own.mkdir()
    leaf = f"-addext subjectAltName=DNS:{domain} -addext basicConstraints=CA:FALSE"
    signed = f"-x509 -CA {authority} -CAkey {key} {leaf} -subj /CN={domain}"
    _run(f"{new} {signed} -keyout {own}/privkey.pem -out {own}/fullchain.pem")
    with (own / "fullchain.pem").open("a") as chain:
        chain.write(authority.read_text())


def _key_of(certificate: Path) -> str:
    """What Chromium knows a certificate's key by."""
    shell = (
        f"openssl x509 -in {certificate} -pubkey -noout | openssl pkey -pubin -outform der"
        " | openssl dgst -sha256 -binary | openssl base64"
    )
    return subprocess.run(["sh", "-c", shell], check=True, capture_output=True, text=True).stdout.strip()


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True, capture_output=True)
