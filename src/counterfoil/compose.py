"""From settings to wired objects: the one place that knows who implements what."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fastapi import APIRouter, FastAPI

from counterfoil.archive.reader import ArchiveRows
from counterfoil.archive.segment_writer import codec_for
from counterfoil.archive.upkeep import Upkeep
from counterfoil.archive.workbench import Workbench
from counterfoil.clock import Clock, SystemClock
from counterfoil.dataplane.formats import FORMATS
from counterfoil.dataplane.parts import PartMaker
from counterfoil.dataplane.scan_rows import DatabaseRows
from counterfoil.dataplane.signature import Signer
from counterfoil.db.engine import Database, DatabaseSettings
from counterfoil.db.migrate import prepare, require_current
from counterfoil.db.projects import StoredKey
from counterfoil.db.segments import archive_of
from counterfoil.db.writer import GroupWriter
from counterfoil.errors import Unauthenticated
from counterfoil.executors.base import Executor
from counterfoil.executors.local import LocalExecutor
from counterfoil.executors.spark.executor import Cluster, SparkExecutor
from counterfoil.executors.spark.order import StoreAddress
from counterfoil.files.open import open_store
from counterfoil.files.options import StoreOptions
from counterfoil.files.store import Store
from counterfoil.services.access import Access
from counterfoil.services.async_actions import AsyncActions
from counterfoil.services.campaigns import CampaignService
from counterfoil.services.campaigns import register as register_campaigns
from counterfoil.services.core import Caller, Core
from counterfoil.services.csv_imports import CAMPAIGN_CSV, CUSTOMERS_CSV, VOUCHERS_CSV, CsvImports
from counterfoil.services.customer_imports import BULK_UPDATE, METADATA_UPDATE, CustomerImports
from counterfoil.services.customers import CustomerService
from counterfoil.services.earning_rules import EarningRuleService
from counterfoil.services.expiry import ExpiryService
from counterfoil.services.exports import ExportService
from counterfoil.services.links import Links
from counterfoil.services.loyalty import LoyaltyService
from counterfoil.services.memberships import MembershipService
from counterfoil.services.oauth import OAuth
from counterfoil.services.order_imports import ORDERS_IMPORT, OrderImports
from counterfoil.services.orders import OrderService
from counterfoil.services.pending_points import PendingPointsService
from counterfoil.services.point_accounts import PointAccountService
from counterfoil.services.points_exports import PointsExportService
from counterfoil.services.postings import PostingService
from counterfoil.services.publications import PublicationService
from counterfoil.services.rates import Rates
from counterfoil.services.redemptions import RedemptionService
from counterfoil.services.rewards import RewardService
from counterfoil.services.rollbacks import RollbackService
from counterfoil.services.transactions import TransactionService
from counterfoil.services.voucher_imports import CAMPAIGN_IMPORT, VOUCHERS_IMPORT, VoucherImports
from counterfoil.services.vouchers import VoucherService
from counterfoil.settings import Settings
from counterfoil.web.altcraft import accounts as altcraft_accounts
from counterfoil.web.altcraft import envelope as altcraft_envelope
from counterfoil.web.altcraft import exports as altcraft_exports
from counterfoil.web.altcraft import postings as altcraft_postings
from counterfoil.web.altcraft.call import Gate as AltcraftGate
from counterfoil.web.app import AppParts, create_app, set_request_threads
from counterfoil.web.dialect import Dialect
from counterfoil.web.voucherify import async_actions as actions_edge
from counterfoil.web.voucherify import campaigns as campaigns_edge
from counterfoil.web.voucherify import customers as customers_edge
from counterfoil.web.voucherify import earning_rules as earning_rules_edge
from counterfoil.web.voucherify import errors as voucherify_errors
from counterfoil.web.voucherify import exports as exports_edge
from counterfoil.web.voucherify import imports as imports_edge
from counterfoil.web.voucherify import loyalties as loyalties_edge
from counterfoil.web.voucherify import members as members_edge
from counterfoil.web.voucherify import oauth as oauth_edge
from counterfoil.web.voucherify import orders as orders_edge
from counterfoil.web.voucherify import pending_points as pending_points_edge
from counterfoil.web.voucherify import publications as publications_edge
from counterfoil.web.voucherify import redemptions as redemptions_edge
from counterfoil.web.voucherify import rewards as rewards_edge
from counterfoil.web.voucherify import transactions as transactions_edge
from counterfoil.web.voucherify import vouchers as vouchers_edge
from counterfoil.web.voucherify.caller import Gate
from counterfoil.web.voucherify.openapi import SECURITY_SCHEMES
from counterfoil.worker.job import Workshop
from counterfoil.worker.planning import ExportPlanner
from counterfoil.worker.probes import reach
from counterfoil.worker.runner import Chore, Runner
from counterfoil.worker.settings import WorkerSettings


@dataclass(frozen=True, slots=True)
class Services:
    """Every use-case, for the dialects to stand on."""

    exports: ExportService
    oauth: OAuth
    campaigns: CampaignService
    vouchers: VoucherService
    voucher_imports: VoucherImports
    customers: CustomerService
    orders: OrderService
    order_imports: OrderImports
    customer_imports: CustomerImports
    csv_imports: CsvImports
    earning_rules: EarningRuleService
    publications: PublicationService
    redemptions: RedemptionService
    rollbacks: RollbackService
    rewards: RewardService
    loyalty: LoyaltyService
    transactions: TransactionService
    pending_points: PendingPointsService
    expiry: ExpiryService
    actions: AsyncActions
    points_exports: PointsExportService
    point_accounts: PointAccountService
    postings: PostingService
    memberships: MembershipService


class Workers:
    """This process's worker, when it is asked to have one. database: its own pool, so that neither a scan nor the
    renewal of a lease waits for a connection that requests have taken, nor the other way round."""

    def __init__(self, runner: Runner, database: Database) -> None:
        self._runner = runner
        self._database = database
        self._started = False

    def start(self) -> None:
        """Begin to run exports and chores."""
        self._started = True
        self._runner.start()

    def stop(self) -> None:
        """Give back what is under way and stop; nothing when it was never started."""
        if self._started:
            self._runner.stop()
        self._database.dispose()


@dataclass(frozen=True, slots=True)
class System:
    """One process's objects. close() ends its threads and connections."""

    settings: Settings
    clock: Clock
    database: Database
    store: Store
    core: Core
    access: Access
    services: Services
    workers: Workers

    def close(self) -> None:
        """Finish what was accepted, then let go of everything."""
        self.workers.stop()
        self.core.writer.close()
        self.database.dispose()


def build(settings: Settings, clock: Clock | None = None) -> System:
    """Open the database (its schema made if it is empty), the store and the services."""
    clock = clock or SystemClock()
    database = Database(settings.database_url, _database_settings(settings))
    prepare(database)
    store = open_store(settings.files_url, store_options(settings), clock)
    core = Core(database, GroupWriter(database, clock), clock)
    woken = threading.Event()
    services = _services(settings, core, store, woken)
    own = Database(settings.database_url, _worker_database_settings(settings))
    workers = Workers(_runner(settings, core, own, store, services, woken), own)
    return System(settings, clock, database, store, core, Access(database, clock), services, workers)


def _database_settings(settings: Settings) -> DatabaseSettings:
    return DatabaseSettings(statement_timeout_ms=round(settings.statement_timeout_s * 1000))


def _worker_database_settings(settings: Settings) -> DatabaseSettings:
    """For each export under way its tasks' scans, its lease and its own small writes; and a few for the sweeper."""
    return replace(_database_settings(settings), pool_size=4 + settings.worker_threads * (settings.task_threads + 2))


def _runner(
    settings: Settings, core: Core, own: Database, store: Store, services: Services, woken: threading.Event
) -> Runner:
    upkeep = Upkeep(core.database, Workbench(store, codec_for(store), reach=reach), core.clock)
    rows = ArchiveRows(store, DatabaseRows(own), upkeep.heard_of_damage)
    maker = PartMaker(rows, {name: f.factory for name, f in FORMATS.items()}, store)
    shop = Workshop(
        database=own,
        store=store,
        maker=maker,
        planner=ExportPlanner(own, archive_of=archive_of),
        executors=_executors(settings, own, maker),
        signer=Signer.of_home(settings.home_path),
        clock=core.clock,
        settings=worker_settings(settings),
        executor=settings.executor,
    )
    chores = (
        Chore("async actions", settings.poll_s, services.actions.run_due, woken=True),
        Chore("archive", settings.duties_every_s, upkeep.run),
        Chore("points expiry", settings.duties_every_s, services.expiry.run_due),
        Chore("pending points", settings.duties_every_s, services.pending_points.run_due),
        Chore("points holds", settings.duties_every_s, services.postings.run_due),
    )
    return Runner(shop, woken, chores, embedded=core.database.sqlite)


def _executors(settings: Settings, own: Database, maker: PartMaker) -> Mapping[str, Executor]:
    local = LocalExecutor(maker, settings.task_threads)
    if not settings.spark_remote:
        return {local.name: local}
    address = StoreAddress.of(settings.files_url, store_options(settings))
    spark = SparkExecutor(maker, own, Cluster(settings.spark_remote, address))
    return {local.name: local, spark.name: spark}


def worker_settings(settings: Settings) -> WorkerSettings:
    """What the worker must know of the settings."""
    return WorkerSettings(
        threads=settings.worker_threads,
        lease_ttl_s=settings.lease_ttl_s,
        watch_s=min(0.5, settings.lease_ttl_s / 6),
        poll_s=settings.poll_s,
        tries_max=settings.tries_max,
        retention_days=settings.retention_days,
        record_retention_days=settings.record_retention_days,
        split_files_max=settings.split_files_max,
        duties_every_s=settings.duties_every_s,
        spark_from_rows=settings.spark_from_rows or None,
    )


def store_options(settings: Settings) -> StoreOptions:
    """What the store must know of the settings."""
    return StoreOptions(
        endpoint=settings.s3_endpoint or None,
        region=settings.s3_region,
        access_key=settings.s3_access_key or None,
        secret_key=settings.s3_secret_key or None,
        allow_http=settings.s3_allow_http,
        link_endpoint=settings.s3_link_endpoint or None,
        ca_file=Path(settings.s3_ca_file) if settings.s3_ca_file else None,
        part_size_bytes=settings.s3_part_mb << 20,
        environment=settings.aws_environment,
    )


def _services(settings: Settings, core: Core, store: Store, woken: threading.Event) -> Services:
    links = Links(core.database, core.clock, settings.download_ttl_s)
    actions = AsyncActions(core)
    register_campaigns(actions)
    voucher_imports = VoucherImports(core, woken.set)
    for action_type in (VOUCHERS_IMPORT, CAMPAIGN_IMPORT):
        actions.register(action_type, voucher_imports)
    order_imports = OrderImports(core, woken.set)
    actions.register(ORDERS_IMPORT, order_imports)
    customer_imports = CustomerImports(core, woken.set)
    for action_type in (BULK_UPDATE, METADATA_UPDATE):
        actions.register(action_type, customer_imports)
    csv_imports = CsvImports(core, store, woken.set)
    for action_type in (VOUCHERS_CSV, CAMPAIGN_CSV, CUSTOMERS_CSV):
        actions.register(action_type, csv_imports)
    executors = ("local", "spark") if settings.spark_remote else ("local",)
    exports = ExportService(core, store, links, woken.set, executors)
    return Services(
        exports=exports,
        oauth=OAuth(core.database, core.clock),
        campaigns=CampaignService(core, woken.set),
        vouchers=VoucherService(core),
        voucher_imports=voucher_imports,
        customers=CustomerService(core),
        orders=OrderService(core),
        order_imports=order_imports,
        customer_imports=customer_imports,
        csv_imports=csv_imports,
        earning_rules=EarningRuleService(core),
        publications=PublicationService(core),
        redemptions=RedemptionService(core),
        rollbacks=RollbackService(core, settings.rollback_days),
        rewards=RewardService(core),
        loyalty=LoyaltyService(core),
        transactions=TransactionService(core),
        pending_points=PendingPointsService(core),
        expiry=ExpiryService(core),
        actions=actions,
        points_exports=PointsExportService(core, exports, settings.altcraft_batch_rows),
        point_accounts=PointAccountService(core),
        postings=PostingService(core),
        memberships=MembershipService(core),
    )


def routers(settings: Settings, services: Services) -> Sequence[APIRouter]:
    """Every route of every dialect."""
    redirect_ttl_s = settings.download_ttl_s if settings.download == "redirect" else None
    return (
        altcraft_exports.routes(services.points_exports, redirect_ttl_s),
        altcraft_accounts.routes(services.point_accounts, services.memberships),
        altcraft_postings.routes(services.postings),
        exports_edge.routes(services.exports, settings.public_url, redirect_ttl_s),
        oauth_edge.routes(services.oauth),
        imports_edge.routes(services.csv_imports, services.customer_imports),
        campaigns_edge.routes(services.campaigns, services.voucher_imports),
        vouchers_edge.routes(services.vouchers, services.voucher_imports),
        customers_edge.routes(services.customers),
        orders_edge.routes(services.orders, services.order_imports),
        earning_rules_edge.routes(services.earning_rules),
        publications_edge.routes(services.publications),
        redemptions_edge.routes(services.redemptions, services.rollbacks),
        transactions_edge.routes(services.transactions),
        rewards_edge.routes(services.rewards),
        pending_points_edge.routes(services.pending_points),
        members_edge.routes(services.loyalty, services.redemptions),
        actions_edge.routes(services.actions),
        # These take every path below theirs that is not taken before: they stay last.
        members_edge.member_routes(services.loyalty),
        loyalties_edge.routes(services.campaigns, services.loyalty),
        campaigns_edge.name_routes(services.campaigns),
        vouchers_edge.code_routes(services.vouchers),
    )


def build_app(system: System) -> FastAPI:
    """The ASGI application over a system."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        set_request_threads()
        yield

    app = create_app(
        AppParts(
            dialects=(
                Dialect("altcraft", ("/api",), altcraft_envelope.answers(system.settings.altcraft_http_status)),
                Dialect("voucherify", ("/",), voucherify_errors.answer, SECURITY_SCHEMES),
            ),
            routers=routers(system.settings, system.services),
            clock=system.clock,
            ready=lambda: require_current(system.database),
            lifespan=lifespan,
        )
    )
    rates = Rates(system.clock, system.settings.rate_limit_per_min)
    app.state.gate = Gate(
        lambda app_id, token, bearer: recognise(system.access, system.services.oauth, app_id, token, bearer),
        lambda app_id, token: recall(system.access, app_id, token),
        rates,
    )
    app.state.altcraft = AltcraftGate(lambda token: recognise_bearer(system.access, token), rates)
    return app


def recognise_bearer(access: Access, token: str) -> Caller:
    """The caller behind Altcraft's one token."""
    return _caller(access.by_bearer(token))


def recall(access: Access, app_id: str, app_token: str) -> Caller | None:
    """The caller behind an id and token pair that this process remembers."""
    key = access.recall_app_key(app_id, app_token)
    return None if key is None else _caller(key)


def recognise(access: Access, oauth: OAuth, app_id: str | None, app_token: str | None, bearer: str | None) -> Caller:
    """The caller behind Voucherify's credentials: an OAuth token, or an id and token pair."""
    if app_id and app_token:
        return _caller(access.by_app_key(app_id, app_token))
    if bearer:
        return oauth.caller_of(bearer)
    raise Unauthenticated


def _caller(key: StoredKey) -> Caller:
    return Caller(key.project, None if key.scopes is None else frozenset(key.scopes), key_id=key.id, app_id=key.app_id)
