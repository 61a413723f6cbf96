"""How a delivery proves that it is ours: the contract's header, and those of Standard Webhooks.

`X-Call2Me-Signature: sha256=<hex of HMAC-SHA256 over the raw body>` by the current secret. The headers
`webhook-id`, `webhook-timestamp` and `webhook-signature` (standardwebhooks.com) are signed by both secrets
while one replaces the other. A secret reads `whsec_<base64>`; the contract's HMAC uses it as it is written.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook

_PREFIX = "whsec_"


def new_secret() -> str:
    """256 random bits, in the form of Standard Webhooks."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def headers(event_id: str, body: str, at: datetime, keys: Sequence[str]) -> dict[str, str]:
    """The headers of one delivery. `keys` are the secrets in force, the current one first."""
    digest = hmac.new(keys[0].encode(), body.encode(), hashlib.sha256).hexdigest()
    return {
        "X-Call2Me-Signature": f"sha256={digest}",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(_standard(key)).sign(event_id, at, body) for key in keys),
    }


def _standard(secret: str) -> str:
    """The library decodes base64; a secret that an owner chose is taken as bytes."""
    if secret.startswith(_PREFIX):
        return secret
    return base64.b64encode(secret.encode()).decode()
