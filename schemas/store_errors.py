"""The border to the libraries of the stores: what they raise becomes one of our own errors, by kind, and quotes nothing."""

import errno
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from schemas.errors import CommonsError, TransportError

P = ParamSpec("P")
R = TypeVar("R")

_AGAIN = "Sending again is safe: what is there whole is not sent twice."
UNREACHABLE = ("The store cannot be reached.", f"Check its address and the network. {_AGAIN}")
NOT_PERMITTED = ("The store does not permit this.", "Check the credentials and what they are good for.")
UNKNOWN_HOST = (
    "The SFTP server's host key is not the known one.",
    "Compare its fingerprint with what the convener gave you, then put the key into your known_hosts.",
)
NO_SUCH_PLACE = ("There is no such place in the store.", "Check the URL of the drop; its operator makes it.")
NO_SPACE = ("The store has no space left.", f"Tell its operator. {_AGAIN}")
NOT_AS_IT_SHOULD_BE = (
    "Something in the drop is not as it should be.",
    "Folders are folders there, files are files, and no links.",
)
FAILED = ("The store failed.", _AGAIN)

_BY_NUMBER = {
    errno.ENOSPC: NO_SPACE,
    errno.EDQUOT: NO_SPACE,
    errno.EROFS: NOT_PERMITTED,
    errno.ELOOP: NOT_AS_IT_SHOULD_BE,
    errno.ENOTDIR: NOT_AS_IT_SHOULD_BE,
    errno.EISDIR: NOT_AS_IT_SHOULD_BE,
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
}
_BY_NAME = {
    "NoCredentialsError": NOT_PERMITTED,
    "PartialCredentialsError": NOT_PERMITTED,
    "AuthenticationException": NOT_PERMITTED,
    "BadAuthenticationType": NOT_PERMITTED,
    "PasswordRequiredException": NOT_PERMITTED,
    "BadHostKeyException": UNKNOWN_HOST,
    "UnknownHostKeyError": UNKNOWN_HOST,
    "NoValidConnectionsError": UNREACHABLE,
    "EndpointConnectionError": UNREACHABLE,
    "ConnectTimeoutError": UNREACHABLE,
    "ReadTimeoutError": UNREACHABLE,
    "HTTPClientError": UNREACHABLE,
    "gaierror": UNREACHABLE,
    "SSHException": UNREACHABLE,
    "QuotaExceeded": NO_SPACE,
}


def guarded_store(function: Callable[P, R], let_pass: type[Exception] | tuple[()] = ()) -> Callable[P, R]:
    """Makes whatever a store's library raises, but what is to pass, a TransportError of fixed text, raised without its cause."""

    def call(*arguments: P.args, **named: P.kwargs) -> R:
        try:
            return function(*arguments, **named)
        except CommonsError:
            raise
        except Exception as raised:
            if isinstance(raised, let_pass):
                raise
            text = _kind(raised)
        raise TransportError(*text)

    return call


def _kind(raised: BaseException) -> tuple[str, str]:
    # By name, so that no library is loaded only to name its errors; the nearest class of ours to know goes first.
    for name in (kind.__name__ for kind in type(raised).__mro__):
        if name in _BY_NAME:
            return _BY_NAME[name]
    if isinstance(raised, PermissionError):
        return NOT_PERMITTED
    if isinstance(raised, FileNotFoundError):
        return NO_SUCH_PLACE
    if isinstance(raised, ConnectionError | TimeoutError | EOFError):
        return UNREACHABLE
    return _BY_NUMBER.get(raised.errno or 0, FAILED) if isinstance(raised, OSError) else FAILED


def silence(*libraries: str) -> None:
    """Libraries of stores log addresses, keys' names and tracebacks: nothing of that is passed on."""
    for name in libraries:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
