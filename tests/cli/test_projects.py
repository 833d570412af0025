"""`counterfoil projects`: what it shows, what it sets, and how a wrong word is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from counterfoil import settings as settings_table
from counterfoil.compose import build, build_app
from counterfoil.db.exports import get_export
from counterfoil.errors import InvalidInput
from counterfoil.plan.request import ExportRequest
from counterfoil.services.project_settings import changed, with_settings
from tests.fakes import FakeClock
from tests.web.conftest import signed_in


def projects(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "counterfoil", "projects", *arguments, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"COLUMNS": "200"})


@pytest.mark.slow
def test_a_setting_is_set_shown_used_by_a_running_server_and_unset(tmp_path: Path, clock: FakeClock) -> None:
    home = tmp_path / "home"
    system = build(settings_table.load({"home": str(home)}, {}), clock)
    with TestClient(build_app(system)) as anonymous:
        api = signed_in(system, anonymous, "shop")

        def stored() -> dict[str, object]:
            clock.advance_ms(6_000)  # longer than a server remembers a key
            made = api.post("/v1/exports", json={"exported_object": "voucher"}).json()
            project = system.access.known_project("shop")
            with system.core.read() as connection:
                found = get_export(connection, project.id, made["id"])
            assert found is not None
            return {name: found.request[name] for name in ("header_style", "split_rows", "split_bytes", "executor")}

        assert set(stored().values()) == {None}
        done = projects(home, "set", "shop", "header_style=titles", "split_rows=1000", "executor=local")
        assert done.returncode == 0, done.stderr
        assert stored() == {"header_style": "titles", "split_rows": 1000, "split_bytes": None, "executor": "local"}
        shown = projects(home, "show", "shop").stdout
        for words in ("titles", "names, titles", "1000", "local, spark", "1024 to", "unset"):
            assert words in shown, shown
        assert "header_style=titles split_rows=1000 executor=local" in projects(home, "list").stdout
        assert projects(home, "set", "shop", "header_style=", "executor=", "split_rows=").returncode == 0
        assert set(stored().values()) == {None}
    system.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("set", "shop", "header_stile=titles"), "no setting 'header_stile' (did you mean header_style?); there are"),
        (("set", "shop", "executor=spork"), "executor=spork is not valid; allowed: local, spark (did you mean spark?)"),
        (("set", "shop", "split_rows=1", "split_bytes=12"), "split_bytes=12 is not valid; allowed: 1024 to"),
        (("set", "shop", "split_rows=many"), "split_rows=many is not valid; it must be int"),
        (("set", "shop", "executor"), "'executor' is no key=value; executor= unsets a setting"),
        (("set", "shpo", "executor=local"), "There is no project 'shpo' (did you mean shop?); there are: shop"),
        (("show", "nowhere"), "There is no project 'nowhere'; there are: shop"),
    ],
)
def test_a_wrong_word_is_refused_and_nothing_is_changed(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    system = build(settings_table.load({"home": str(tmp_path / "home")}, {}))
    system.access.ensure_project("shop")
    done = projects(tmp_path / "home", *arguments)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert words in done.stderr, done.stderr
    assert system.access.known_project("shop").settings == {}
    system.close()


def test_what_a_request_says_goes_before_the_project() -> None:
    settings = changed({}, {"split_bytes": "4096", "header_style": "titles", "executor": "local"})
    asked = with_settings(ExportRequest("voucher", header_style="names", split_rows=7), settings)
    assert (asked.header_style, asked.split_rows, asked.split_bytes, asked.executor) == ("names", 7, None, "local")
    silent = with_settings(ExportRequest("voucher"), settings)
    assert (silent.header_style, silent.split_rows, silent.split_bytes) == ("titles", None, 4096)
    batch = with_settings(ExportRequest("voucher", limit_rows=5), settings)
    assert (batch.split_bytes, batch.executor) == (None, "local")


def test_all_settings_are_changed_or_none() -> None:
    with pytest.raises(InvalidInput):
        changed({"executor": "spark"}, {"header_style": "titles", "split_rows": "0"})
    assert changed({"executor": "spark"}, {"executor": None, "split_rows": "5"}) == {"split_rows": 5}
