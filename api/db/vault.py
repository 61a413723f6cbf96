"""Secrets at rest: what the database keeps of them can be read with this installation's keys only."""

from collections.abc import Callable, Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from api.secret_keys import kept_encryption_keys
from api.settings import Settings


class Unreadable(Exception):
    """A secret in the database was sealed with a key that is not here: put the key back (see
    docs/configuration.md, CALL2ME_ENCRYPTION_KEYS), or enter the secret again"""

    def __init__(self) -> None:
        super().__init__(" ".join((self.__doc__ or "").split()))


class Vault:
    """Seals with the first key, opens with any.

    `newer` is asked once more when nothing opens: another process may have rotated the keys meanwhile.
    """

    def __init__(self, keys: Sequence[str], newer: Callable[[], Sequence[str]] = lambda: ()) -> None:
        self._newer = newer
        self._use(keys)

    @classmethod
    def of(cls, settings: Settings) -> "Vault":
        """With the keys of this installation."""
        return cls(
            settings.secrets.encryption_keys, lambda: kept_encryption_keys(settings.home, settings.secrets)
        )

    def seal(self, text: str) -> str:
        """The text for the database; another one each time."""
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """What was sealed. Raises `Unreadable`."""
        return self._with_newest(lambda fernet: fernet.decrypt(sealed.encode())).decode()

    def renewed(self, sealed: str) -> str:
        """The same secret under the first key. Raises `Unreadable`."""
        return self._with_newest(lambda fernet: fernet.rotate(sealed.encode())).decode()

    def _use(self, keys: Sequence[str]) -> None:
        self._keys = tuple(keys)
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def _with_newest(self, work: Callable[[MultiFernet], bytes]) -> bytes:
        try:
            return work(self._fernet)
        except InvalidToken:
            if (keys := tuple(self._newer())) and keys != self._keys:
                self._use(keys)
                try:
                    return work(self._fernet)
                except InvalidToken:
                    pass
            raise Unreadable from None
