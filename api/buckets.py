"""Where files lie that grow with use: a folder of this machine, or a bucket that speaks S3."""

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from pipelines.environment import Environment, SettingsError

_NAME = "CALL2ME_STORAGE"
_SHAPE = f"{_NAME} must be like s3://bucket/prefix?region=eu-central-1&endpoint=https://s3.example.com."


@dataclass(frozen=True)
class Bucket:
    """A bucket, and who may use it."""

    name: str
    prefix: str
    """Before the names of all that is ours; without slashes at its ends."""
    region: str
    endpoint: str
    """Of a server that is not Amazon's; empty for theirs."""
    key_id: str = field(repr=False)
    secret: str = field(repr=False)
    token: str = field(repr=False)

    def __str__(self) -> str:
        return f"s3://{self.name}/{self.prefix}".rstrip("/")


def bucket_of(read: Environment) -> Bucket | None:
    """The bucket that is configured; None for a folder. Raises `SettingsError`."""
    raw, elsewhere = read.text(_NAME, ""), read.text("AWS_REGION", "us-east-1")
    key_id, secret = read.text("AWS_ACCESS_KEY_ID", ""), read.text("AWS_SECRET_ACCESS_KEY", "")
    token = read.text("AWS_SESSION_TOKEN", "")
    if not raw:
        return None
    parts = urlsplit(raw)
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    endpoint = asked.pop("endpoint", "").rstrip("/")
    region = asked.pop("region", "") or elsewhere
    prefix = parts.path.strip("/")
    is_ours = parts.scheme == "s3" and parts.hostname == parts.netloc and not parts.fragment
    if not is_ours or asked or "//" in prefix or ".." in prefix.split("/"):
        raise SettingsError(_SHAPE)
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise SettingsError(f"{_NAME}: the endpoint must begin with http:// or https://.")
    if bool(key_id) != bool(secret):
        raise SettingsError("Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY both, or neither.")
    return Bucket(
        name=parts.netloc,
        prefix=prefix,
        region=region,
        endpoint=endpoint,
        key_id=key_id,
        secret=secret,
        token=token,
    )
