"""Passwords in URLs: shown to nobody."""

from __future__ import annotations

import gc
import logging
import uuid

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from pytams.sqldb import SQLFile
from pytams.sqldb.errors import LedgerError
from pytams.sqldb.urls import shown, without_password

URLS = [  # as they are, as they are shown, and without their passwords
    ("a/b.db", "a/b.db", "a/b.db"),
    ("sqlite:///b.db?synchronous=FULL", "sqlite:///b.db?synchronous=FULL", "sqlite:///b.db?synchronous=FULL"),
    ("postgresql://me@h/db", "postgresql://me@h/db", "postgresql://me@h/db"),
    (
        "postgresql+psycopg://me:hunter2@h:5/db",
        "postgresql+psycopg://me:***@h:5/db",
        "postgresql+psycopg://me@h:5/db",
    ),
    (
        "postgresql://h/db?password=hunter2&schema=x",
        "postgresql://h/db?password=***&schema=x",
        "postgresql://h/db?schema=x",
    ),
    ("postgresql://h/db?PassWord=hunter2", "postgresql://h/db?PassWord=***", "postgresql://h/db"),
    ("postgresql://me:a@h/db?password=b&password=c", "postgresql://me:***@h/db?password=***", "postgresql://me@h/db"),
    (
        "postgresql://h/db?passfile=x&sslpassword=y",
        "postgresql://h/db?passfile=x&sslpassword=***",
        "postgresql://h/db?passfile=x",
    ),
]


@pytest.mark.parametrize(("url", "expected", "without"), URLS)
def test_both_kinds_of_passwords_are_hidden(url: str, expected: str, without: str) -> None:
    assert shown(url) == expected
    assert without_password(url) == without


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@x@h/db",
        "postgresql://me:x@hunter2@h/db",
        "postgresql://me:x/hunter2?y@h:port/db",
        "postgresql://me:hunter2/db",
        "postgresql://me:x@h:port/db?a=b&password=hunter2&c=d",
    ],
)
def test_a_url_that_cannot_be_read_shows_none(url: str) -> None:
    assert "hunter2" not in shown(url)
    for call in (SQLFile, without_password):
        with pytest.raises(
            LedgerError, match=r"postgresql://me:\*\*\*.* is no URL of a database: .* %40 for @"
        ) as error:
            call(url)
        assert "hunter2" not in str(error.value)
        assert error.value.__cause__ is None


@pytest.mark.parametrize("url", ["me:hunter2@127.0.0.1:1/db?x=", "me@127.0.0.1:1/db?password=hunter2&schema="])
def test_no_error_shows_it(url: str, caplog: pytest.LogCaptureFixture) -> None:
    location = f"postgresql+psycopg://{url}"
    with caplog.at_level(logging.DEBUG), pytest.raises(SQLAlchemyError) as error:
        SQLFile(location)
    assert "***" in str(error.value)
    assert "hunter2" not in f"{error.value!r} {error.value} {error.value.__cause__!r} {caplog.text}"


def test_no_object_shows_it(postgres: str) -> None:
    location = f"{postgres.replace('secret', 'hunter2')}&password=hunter2&schema=run-{uuid.uuid4().hex}"
    with SQLFile(location) as ledger:
        ledger.add_trajectory("a", "{}")
        engines = [thing for thing in gc.get_objects() if issubclass(type(thing), Engine)]  # no proxy of what is gone
        assert engines
        for thing in (ledger, ledger.name(), ledger.owner, *vars(ledger).values(), *engines):
            assert thing is vars(ledger)["_arguments"] or "hunter2" not in f"{thing!r} {thing}"
