"""Purchases as CSV: RFC 4180, UTF-8, and nothing in it that a spreadsheet would run."""

import csv
import io
import re
from collections.abc import Iterable

from lib.fields import utc_text
from lib.reports import Sale

MEDIA_TYPE = "text/csv; charset=utf-8"
COLUMNS = ("id", "timestamp", "userId", "username", "size", "price", "currency", "reservationId")
# With =, +, -, @ (or their full-width twins), a tab or a line break in front a spreadsheet takes a cell for a formula:
# https://owasp.org/www-community/attacks/CSV_Injection. A cell may begin inside of ours too, where the spreadsheet's
# own separator is another than the comma.
FORMULA_START = re.compile("(^|[;,|\t])(?=\\s*['=+@\t\r\n\uff1d\uff0b\uff0d\uff20-])")


def header() -> str:
    return _lines([COLUMNS])


def lines(sales: Iterable[Sale]) -> str:
    """A line a purchase, each ended with CR LF."""
    return _lines(
        (
            sale.id,
            utc_text(sale.created_at),
            sale.user_id,
            plain(sale.username),
            plain(sale.size),
            sale.price,
            sale.currency,
            sale.reservation_id,
        )
        for sale in sales
    )


def plain(text: str) -> str:
    """Text in which no spreadsheet finds a formula: an apostrophe goes in front of what would be one.

    It stands at the beginning, or after `;`, `,`, `|` or a tab, and only where a formula or another apostrophe follows:
    a program that reads the file can take it away again.
    """
    return FORMULA_START.sub(r"\1'", text)


def _lines(rows: Iterable[Iterable[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()
