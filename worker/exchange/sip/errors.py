"""What can go wrong with SIP; a far side that refuses is no exception.

SipError
├── EngineMissing   the wheel is not there
├── AddressInUse    a listener could not be opened
├── BadUri          a URI, header or address that SIP cannot carry
├── NotNow          the dialog is in another state
├── Overloaded      too many orders are under way
└── BadSnapshot     no dialog can be made of it
"""


class SipError(Exception):
    """SIP could not do what it was asked"""

    def __str__(self) -> str:
        return super().__str__() or (type(self).__doc__ or "")


class EngineMissing(SipError):
    """The SIP engine is not installed: make phones"""


class AddressInUse(SipError):
    """A listener could not be opened: the address is taken or not ours, or its certificate is no good"""


class BadUri(SipError):
    """A URI, header or address that SIP cannot carry"""


class NotNow(SipError):
    """The dialog is not in a state in which this may be done"""


class Overloaded(SipError):
    """More orders are under way in the engine than it takes"""


class BadSnapshot(SipError):
    """A snapshot that no dialog can be made of"""
