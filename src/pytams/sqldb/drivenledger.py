"""The ledger of a run that somebody drives: one driver at a time."""

from __future__ import annotations

from pytams.sqldb import statements
from pytams.sqldb.errors import LedgerError
from pytams.sqldb.openledger import repeated
from pytams.sqldb.owner import Owner
from pytams.sqldb.sqlfile import SQLFile


class DrivenLedger(SQLFile):
    """A ledger with a lock for its driver. The parameters are those of `SQLFile`."""

    @repeated
    def claim(self, stale_after: float) -> bool:
        """Become the driver, if there is none, or if it is known to be dead or unheard of for `stale_after` seconds.

        Returns
        -------
        bool
            Whether this object is the driver now.
        """
        with self._database.write() as connection:
            row = connection.execute(statements.DRIVER).first()
            if row is None:
                connection.execute(statements.DRIVE, {"me": self.owner})
                return True
            values = {"me": self.owner, "seconds": stale_after}
            if row.owner == self.owner or self._parsed_owner(row.owner).is_dead:
                return connection.execute(statements.TAKE_OVER["dead"], {**values, "old": row.owner}).rowcount == 1
            return connection.execute(statements.TAKE_OVER["stale"], values).rowcount == 1

    @repeated
    def renew(self) -> None:
        """Say that the driver is alive. To be called in every transaction of the driver's: it fences off others.

        Raises
        ------
        LedgerError
            If this object is not the driver any more.
        """
        with self._database.write() as connection:
            if connection.execute(statements.RENEW, {"me": self.owner}).rowcount != 1:
                raise LedgerError(f"{self.name()}: another driver has taken over this run; nothing was written")

    @repeated
    def disclaim(self) -> None:
        """Stop being the driver."""
        with self._database.write() as connection:
            connection.execute(statements.DISCLAIM, {"me": self.owner})

    @repeated
    def driver(self) -> Owner | None:
        """Who drives the run; None if nobody does, or if the driver is known to be dead."""
        with self._database.read() as connection:
            row = connection.execute(statements.DRIVER).first()
        owner = None if row is None else self._parsed_owner(row.owner)
        return None if owner is None or owner.is_dead else owner

    def _parsed_owner(self, text: str) -> Owner:
        try:
            return Owner.parse(text)
        except ValueError as error:
            raise self._database.damaged(str(error)) from None

    @repeated
    def silence(self) -> float | None:
        """Seconds since the driver was last heard of; None if there is none."""
        with self._database.read() as connection:
            silence: float | None = connection.scalar(statements.SILENCE)
        return silence
