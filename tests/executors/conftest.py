"""One world for every test on the cluster: filling and sealing it takes longer than exporting it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.databases import postgres_ledger
from tests.executors.archived_world import SealedWorld, sealed_world
from tests.services import PostgresServer, S3Server
from tests.spark_cluster import SparkCluster


@pytest.fixture(scope="session")
def world(
    postgres_server: PostgresServer,
    seaweed: S3Server,
    spark_cluster: SparkCluster,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SealedWorld]:
    """A sealed shop on PostgreSQL and S3, and the cluster beside it."""
    folder = tmp_path_factory.mktemp("spark")
    with (
        postgres_ledger(postgres_server) as database,
        sealed_world(database, folder, seaweed, spark_cluster.remote) as found,
    ):
        yield found
