"""What MySQL's error numbers mean for us."""

from changes.errors import Misconfigured, Rejected, TailraceError, Transient

_REJECTED = {
    1048,  # NULL in a column that takes none
    1118,  # a row too large
    1153,  # a statement larger than `max_allowed_packet`
    1264,  # out of range
    1265,  # cut off
    1292,  # no such date or time
    1300,  # no such text in this character set
    1366,  # not of the column's type
    1367,  # no number
    1406,  # too long
    1411,  # no such date or time, by a function
    1416,  # no geometry
    1441,  # a date beyond the calendar
    1525,  # no such value, in a comparison
    1690,  # a number beyond its type
    3140,  # no JSON
    3141,  # no JSON
    3144,  # JSON of bytes
}
_MISCONFIGURED = {
    1044,  # not allowed to use the database
    1045,  # wrong password
    1049,  # no such database
    1050,  # a table of that name is there
    1054,  # no such column
    1059,  # a name too long
    1064,  # a syntax that this server does not know
    1071,  # a key too long
    1074,  # a column too long
    1103,  # no name of a table
    1115,  # no such character set
    1117,  # too many columns
    1130,  # not from this host
    1142,  # not allowed on the table
    1143,  # not allowed on the column
    1146,  # no such table
    1166,  # no name of a column
    1193,  # no such variable
    1227,  # a privilege is missing
    1231,  # no value of that variable
    1267,  # collations that do not mix
    1273,  # no such collation
    1305,  # no such function
    1347,  # no view
    1356,  # a view of something that is not there
    1370,  # not allowed to run
    1410,  # not allowed to grant
    1449,  # a view of somebody who is not there
    1698,  # refused
    1820,  # the password has expired
    1862,  # the same, said at the door
    2026,  # no TLS, or not as the URL wants it
    2061,  # a way of logging in that cannot be had
    3118,  # the account is locked
    3159,  # a server that takes no connection without TLS
}
_TLS_DEMANDED, _NO_COLLATION = 3159, 1273


def classify(number: int, message: str) -> TailraceError:
    """The error for an error number (MySQL's manual, "Server Error Message Reference").

    Whatever is not known to be about the data or about the set-up is `Transient`: broken connections (2003, 2006,
    2013), locks and deadlocks (1205, 1213), lack of disk, memory or connections (1021, 1037, 1040, 1114, 3675), a
    server that shuts down (1053) or only reads, a stand-by after fail-over (1290, 1836), a statement that was killed
    (1317), a table that was changed under a read (1412).
    """
    text = f"MySQL: {message} (error {number})"
    if number in _REJECTED:
        return Rejected(text)
    if number == _TLS_DEMANDED:
        return Misconfigured(f"{text}: add `?ssl=required` to its URL")
    if number == _NO_COLLATION:
        return Misconfigured(f"{text}: MySQL 8.0.19 or newer is needed")
    if number in _MISCONFIGURED:
        return Misconfigured(text)
    return Transient(text)
