"""`sentient threads`."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from checkpoints.lease import is_leased
from checkpoints.ledger import Ledger
from checkpoints.ledger_file import Row
from sentient.options import Json, read_settings
from sentient.text import print_json, printable
from tools.settings import Settings


def threads(json: Json = False) -> None:
    """List threads, the one that changed last first."""
    rows = _rows(read_settings())
    if json:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    for title in ("THREAD", "STATUS", "CHANGED", "SOURCE"):
        table.add_column(title)
    for row in rows:
        status = f"waiting: {row['detail']}" if row["status"] == "waiting" else row["status"]
        cells = (row["id"], status, row["updated"][:19], row["source"])
        table.add_row(*(escape(printable(cell)) for cell in cells))
    Console(highlight=False).print(table if rows else "no threads yet: sentient fix SOURCE")


def _rows(settings: Settings) -> list[Row]:
    """What the ledger has of each thread, with the status that is true now."""
    rows = Ledger(settings.home / "ledger.db").threads()
    for row in rows:
        row.pop("input", None)
        if row["status"] == "running" and not is_leased(settings.leases, str(row["id"])):
            row["status"] = "stopped"
    return rows
