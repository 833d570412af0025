"""The servers that other tests lean on: that they are real, separate and as the suite thinks they are."""

from __future__ import annotations

from datetime import timedelta

import httpx2
import obstore
import psycopg
import pytest
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store

from tests.services import PostgresServer, S3Server


def test_each_database_is_empty_and_the_tests_own(postgres_server: PostgresServer, postgres_url: str) -> None:
    other = postgres_server.create()
    with psycopg.connect(postgres_url) as mine, psycopg.connect(postgres_server.url(other)) as theirs:
        mine.execute("create table card (balance bigint)")
        mine.commit()
        count = "select count(*) from pg_tables where schemaname = 'public'"
        assert mine.execute(count).fetchone() == (1,)
        assert theirs.execute(count).fetchone() == (0,)
        assert mine.execute("show server_encoding").fetchone() == ("UTF8",)
    assert int(postgres_server.version.split(".")[0]) >= 15
    postgres_server.drop(other)


def test_a_template_is_filled_once_and_copied(postgres_server: PostgresServer) -> None:
    filled: list[str] = []

    def fill(url: str) -> None:
        filled.append(url)
        with psycopg.connect(url) as connection:
            connection.execute("create table card as select 7 as balance")

    names = [postgres_server.create(postgres_server.template("cards", fill)) for _ in range(2)]
    assert len(filled) == 1
    for name in names:
        with psycopg.connect(postgres_server.url(name)) as connection:
            assert connection.execute("select balance from card").fetchone() == (7,)
        postgres_server.drop(name)


@pytest.fixture
def store(seaweed: S3Server) -> S3Store:
    return S3Store(
        seaweed.bucket,
        endpoint=seaweed.endpoint,
        access_key_id=seaweed.access_key,
        secret_access_key=seaweed.secret_key,
        region=seaweed.region,
        client_options={"allow_http": True},
    )


def test_the_store_keeps_conditions(store: S3Store) -> None:
    store.put("once", b"first", mode="create")
    with pytest.raises(AlreadyExistsError):
        store.put("once", b"second", mode="create")
    assert bytes(store.get("once").bytes()) == b"first"
    assert bytes(store.get_range("once", start=1, length=3)) == b"irs"


def test_the_store_checks_signatures(store: S3Store) -> None:
    store.put("signed", b"for your eyes")
    link = obstore.sign(store, "GET", "signed", timedelta(minutes=5))
    assert httpx2.get(link).content == b"for your eyes"
    assert httpx2.get(link[:-2] + ("00" if link[-2:] != "00" else "11")).status_code == 403
    assert httpx2.get(link.split("?")[0]).status_code == 403
