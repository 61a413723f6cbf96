"""What an engine reads before it opens its listeners: addresses, and the files of TLS."""

import ssl
from pathlib import Path

from worker.exchange.sip import native
from worker.exchange.sip.errors import AddressInUse, BadUri
from worker.exchange.sip.settings import Listener

# Where the usual systems keep the certificates that they trust.
_AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


def described(listener: Listener) -> native.Address:
    """A listener as the wheel takes it. AddressInUse, BadUri."""
    advertised = None if listener.advertised is None else host_and_port(listener.advertised, 0)
    try:
        certificate = listener.certificate.read_bytes() if listener.certificate else b""
        private_key = listener.private_key.read_bytes() if listener.private_key else b""
    except OSError as error:
        raise AddressInUse(str(error)) from error
    return listener.transport, listener.host, listener.port, advertised, certificate, private_key


def host_and_port(text: str, port: int) -> tuple[str, int]:
    """An IP address with or without a port; IPv6 with one stands in brackets."""
    host, colon, digits = text.rpartition(":")
    if not colon or ("[" not in text and ":" in host):
        return text.strip("[]"), port
    if not digits.isdecimal() or int(digits) > 65535:
        raise BadUri(f"no address: {text!r}")
    return host.strip("[]"), int(digits)


def authorities(ca_file: Path | None) -> bytes | None:
    """What TLS trusts: the system's certificates and these. AddressInUse."""
    system = ssl.get_default_verify_paths().cafile
    known = next((Path(file) for file in (system, *_AUTHORITIES) if file and Path(file).is_file()), None)
    try:
        files = [file.read_bytes() for file in (known, ca_file) if file is not None]
    except OSError as error:
        raise AddressInUse(str(error)) from error
    return b"\n".join(files) or None
