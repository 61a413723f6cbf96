"""What can be wrong with something that is to be read, each a name and a sentence for its owner."""


class Unreadable(Exception):
    """This could not be read"""

    # Unreadable
    # ├── Empty · NotText · UnknownFormat · Damaged · Encrypted · Scanned     what it is
    # ├── TooLarge · TooManyPages · Bomb · TooSlow · TooMuchMemory             what it would cost
    # └── NotFetched                                                           where it was to come from
    #     ├── BadAddress · Unreachable · Refused (Gone) · Disallowed · NoAnswer

    def __str__(self) -> str:
        """What was said when it was raised, else what the name says."""
        return super().__str__() or (type(self).__doc__ or "")


class Empty(Unreadable):
    """There is no text in this"""


class NotText(Unreadable):
    """This is not text: upload a PDF, a DOCX, a table, a web page or a plain text file"""


class UnknownFormat(Unreadable):
    """This kind of file cannot be read: upload a PDF, a DOCX, a table, a web page or a plain text file"""


class Damaged(Unreadable):
    """This file is damaged or was cut off: open it, save it again and upload that"""


class Encrypted(Unreadable):
    """This file is protected with a password: save it without one and upload that"""


class Scanned(Unreadable):
    """The pages are pictures without text: run text recognition (OCR) over the file and upload that"""


class TooLarge(Unreadable):
    """This is larger than what may be read: split it"""


class TooManyPages(Unreadable):
    """This has more pages than may be read: split it"""


class Bomb(Unreadable):
    """This unpacks to far more than its size: it is refused as harmful"""


class TooSlow(Unreadable):
    """Reading this took too long: split it, or save it as plain text"""


class TooMuchMemory(Unreadable):
    """Reading this needs more memory than it may have: split it, or save it as plain text"""


class NotFetched(Unreadable):
    """This address could not be read"""


class BadAddress(NotFetched):
    """This is not the address of a web page: it begins with http:// or https://"""


class Unreachable(NotFetched):
    """No connection to this address could be made"""


class Refused(NotFetched):
    """The site did not give us this page"""


class Gone(Refused):
    """There is no page at this address any more"""


class Disallowed(NotFetched):
    """The site's robots.txt asks not to read this page"""


class NoAnswer(NotFetched):
    """The site took too long to answer"""


def _all(kind: type[Unreadable]) -> dict[str, type[Unreadable]]:
    found = {kind.__name__: kind}
    for narrower in kind.__subclasses__():
        found |= _all(narrower)
    return found


BY_NAME = _all(Unreadable)
"""Every error under its name, for those that crossed a process."""
