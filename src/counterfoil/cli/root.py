"""Commands and their options; each one is a few lines over a module of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from counterfoil import __version__
from counterfoil.errors import CounterfoilError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A self-hosted loyalty and gift-card ledger whose exports are fast, exact and provable.",
)
keys_app = typer.Typer(no_args_is_help=True, help="Credentials for HTTP clients.")
app.add_typer(keys_app, name="keys")
projects_app = typer.Typer(no_args_is_help=True, help="Projects (the tenants) and their settings.")
app.add_typer(projects_app, name="projects")

Home = Annotated[str | None, typer.Option("--home", help="Folder of database, files and keys [env: COUNTERFOIL_HOME]")]
DatabaseUrl = Annotated[
    str | None,
    typer.Option("--database", help="sqlite:///PATH or postgresql://… [env: COUNTERFOIL_DATABASE]"),
]
FilesUrl = Annotated[
    str | None, typer.Option("--files", help="file:///PATH or s3://bucket/prefix [env: COUNTERFOIL_FILES]")
]
ProjectName = Annotated[str, typer.Option("--project", help="The project's name")]


def main() -> None:
    """Run the command; our own errors end it with one clear line and status 1."""
    try:
        app()
    except CounterfoilError as error:
        sys.stderr.write(f"counterfoil: {error.message}\n")
        raise SystemExit(1) from None


@app.command()
def version() -> None:
    """Print the version."""
    sys.stdout.write(f"{__version__}\n")


@app.command()
def serve(
    home: Home = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on [env: COUNTERFOIL_HOST]")] = None,
    port: Annotated[int | None, typer.Option(help="Port, 0 for any free one [env: COUNTERFOIL_PORT]")] = None,
    database: DatabaseUrl = None,
    files: FilesUrl = None,
) -> None:
    """Run the API and a worker in one process."""
    from counterfoil.cli import server  # noqa: PLC0415  keeps --help quick

    server.serve({"home": home, "host": host, "port": port, "database": database, "files": files})


@app.command()
def worker(home: Home = None, database: DatabaseUrl = None, files: FilesUrl = None) -> None:
    """Run a worker alone, beside a shared database and store."""
    from counterfoil.cli import server  # noqa: PLC0415  keeps --help quick

    server.work({"home": home, "database": database, "files": files})


@keys_app.command("create")
def keys_create(
    project: ProjectName,
    app_id: Annotated[str | None, typer.Option(help="Choose the application id")] = None,
    app_token: Annotated[str | None, typer.Option(help="Choose the application token")] = None,
    scopes: Annotated[str | None, typer.Option(help="Comma-separated scopes; all when not given")] = None,
    home: Home = None,
    database: DatabaseUrl = None,
) -> None:
    """Make keys for a project (made too if new) and print them as one JSON object; they are shown only here."""
    from counterfoil.cli import keys  # noqa: PLC0415  keeps --help quick

    keys.create({"home": home, "database": database}, project, app_id, app_token, scopes)


@keys_app.command("signing")
def keys_signing(home: Home = None) -> None:
    """Print the fingerprint and the public key by which this home's manifests are signed, to note down elsewhere."""
    from counterfoil.cli import keys  # noqa: PLC0415  keeps --help quick

    keys.signing({"home": home})


@projects_app.command("list")
def projects_list(home: Home = None, database: DatabaseUrl = None) -> None:
    """Print every project with what it has set."""
    from counterfoil.cli import projects  # noqa: PLC0415  keeps --help quick

    projects.list_projects({"home": home, "database": database})


@projects_app.command("show")
def projects_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The project's name")],
    home: Home = None,
    database: DatabaseUrl = None,
) -> None:
    """Print a project's settings, with what is allowed and what each is for."""
    from counterfoil.cli import projects  # noqa: PLC0415  keeps --help quick

    projects.show({"home": home, "database": database}, name)


@projects_app.command("set")
def projects_set(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The project's name")],
    assignments: Annotated[list[str], typer.Argument(metavar="KEY=VALUE…", help="Such as split_rows=1000000")],
    home: Home = None,
    database: DatabaseUrl = None,
) -> None:
    """Set a project's defaults for exports (KEY= unsets one); a request that says otherwise goes first."""
    from counterfoil.cli import projects  # noqa: PLC0415  keeps --help quick

    projects.change({"home": home, "database": database}, name, assignments)


@app.command()
def export(
    object_name: Annotated[str, typer.Argument(metavar="OBJECT", help="Such as voucher_transactions or voucher")],
    project: ProjectName,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write")],
    fields: Annotated[str | None, typer.Option(help="Comma-separated fields, in file order")] = None,
    order: Annotated[str | None, typer.Option(help="Such as created_at or -created_at")] = None,
    filters: Annotated[str | None, typer.Option(help="Filters as the HTTP API takes them, in JSON")] = None,
    campaign: Annotated[str | None, typer.Option(help="Only this campaign, by id or name")] = None,
    file_format: Annotated[str, typer.Option("--format", help="csv, jsonl, parquet or xlsx")] = "csv",
    split_rows: Annotated[int | None, typer.Option(help="Rows in one file; 0: one file for all", min=0)] = None,
    split_bytes: Annotated[int | None, typer.Option(help="Bytes in one file; 0: one file for all", min=0)] = None,
    home: Home = None,
    database: DatabaseUrl = None,
    files: FilesUrl = None,
) -> None:
    """Export to a local file, with a progress bar, through the same queue and worker as the API."""
    from counterfoil.cli import exporting  # noqa: PLC0415  keeps --help quick

    wanted = exporting.Wanted(
        object_name, project, output, fields, order, filters, campaign, file_format, split_rows, split_bytes
    )
    exporting.export({"home": home, "database": database, "files": files}, wanted)


@app.command("import")
def import_file(
    object_name: Annotated[str, typer.Argument(metavar="OBJECT", help="Such as voucher or voucher_transactions")],
    file: Annotated[Path, typer.Argument(help="CSV, JSON Lines or Parquet; .gz and .zip are unpacked")],
    project: ProjectName,
    file_format: Annotated[
        str | None, typer.Option("--format", help="csv, jsonl or parquet; else by the ending")
    ] = None,
    campaign: Annotated[
        str | None, typer.Option(help="The campaign, by id or name, of every voucher in the file")
    ] = None,
    decimals: Annotated[
        int, typer.Option(help="Digits after the point that money has in the file; 0: minor units")
    ] = 0,
    report: Annotated[Path | None, typer.Option(help="Write every refused row here, as JSON Lines")] = None,
    batch_rows: Annotated[int | None, typer.Option(help="Rows in one transaction; see docs/importing.md")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first refused row")] = False,
    movements_follow: Annotated[
        bool, typer.Option("--movements-follow", help="Leave cards without balance: their movements come next")
    ] = False,
    make_campaigns: Annotated[
        bool, typer.Option("--make-campaigns", help="Make the campaigns that vouchers name and that are not there")
    ] = False,
    removed_cards: Annotated[
        bool, typer.Option("--removed-cards", help="Take movements of cards that are not there any more")
    ] = False,
    newest_first: Annotated[
        bool, typer.Option("--newest-first", help="The file runs backwards in time: read it from its end")
    ] = False,
    home: Home = None,
    database: DatabaseUrl = None,
) -> None:
    """Bring in a file that Voucherify or Counterfoil exported, with its own ids, balances and times."""
    from counterfoil.cli import importing  # noqa: PLC0415  keeps --help quick
    from counterfoil.services.imports.report import BATCH_ROWS, ImportOptions  # noqa: PLC0415  the same

    rows = BATCH_ROWS if batch_rows is None else batch_rows
    options = ImportOptions(rows, strict, decimals, campaign, make_campaigns, movements_follow, removed_cards)
    wanted = importing.Wanted(object_name, file, project, options, file_format, report, newest_first)
    raise typer.Exit(importing.bring_in({"home": home, "database": database}, wanted))


@app.command()
def verify(
    manifest: Annotated[Path, typer.Argument(help="The manifest's file")],
    file: Annotated[
        Path | None, typer.Option(help="The exported file, or the folder of several; default: beside it")
    ] = None,
    previous: Annotated[Path | None, typer.Option(help="The manifest before it, to check the chain")] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(help="Fingerprint of a key that may have signed it (`counterfoil keys signing`); may be repeated"),
    ] = None,
) -> None:
    """Check an export against its manifest, offline: hashes, rows, sums, balances, signature."""
    from counterfoil.cli import verifying  # noqa: PLC0415  keeps --help quick

    raise typer.Exit(verifying.verify(manifest, file, previous, trusted=key or ()))


@app.command()
def doctor(
    home: Home = None,
    database: DatabaseUrl = None,
    files: FilesUrl = None,
    migrate: Annotated[bool, typer.Option("--migrate", help="Bring the database to this version's schema")] = False,
) -> None:
    """Look for what is wrong with the database, the store and the clock, and say what to do."""
    from counterfoil.cli import examination  # noqa: PLC0415  keeps --help quick

    raise typer.Exit(examination.examine({"home": home, "database": database, "files": files}, migrate=migrate))


@app.command()
def demo(
    home: Home = None,
    quick: Annotated[bool, typer.Option("--quick", help="A twelfth of the households, for a first look")] = False,
) -> None:
    """Replay a year of real-size purchases, export a campaign over HTTP, and check every card's chain."""
    from counterfoil.cli import demonstration  # noqa: PLC0415  keeps --help quick

    demonstration.run(home, quick=quick)
