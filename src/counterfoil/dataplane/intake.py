"""Files that come in: CSV and JSON Lines as blocks of columns, with the line on which each row begins.

A file is read once, a block at a time, so memory holds a block. What cannot be read as a row is a flaw of its line and
the rows around it are read all the same; what makes the whole file unreadable raises InvalidInput.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import msgspec

from counterfoil.catalog.importables import Importable, ImportColumn
from counterfoil.catalog.kinds import Kind
from counterfoil.errors import InvalidInput

LINE_BYTES_MAX = 16 << 20
"""A longer line is no row: a file without line ends must not be read into memory whole."""
_CELL_LENGTH_MAX = 8 << 20
_COLUMNS_MAX = 2_000
_SHOWN_LENGTH_MAX = 60
_BOM = b"\xef\xbb\xbf"
_OTHER_BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}

Flaw = tuple[int, str]
"""(line, reason) of what stands in the place of a row and is none."""

Lookup = Callable[[str], ImportColumn | None]
"""The column that a header means, or None."""


class Source(Protocol):
    """Bytes in lines, such as a binary file."""

    def readline(self, size: int, /) -> bytes:
        """The next line with its line end, cut at `size` bytes; empty at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block begins: bytes from the start of the content, and the number of the line there (from 1)."""

    offset: int
    line: int


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows, column by column; an empty cell is None.

    lines: the line on which each row begins (the row's number in formats without lines). columns: by field; those
    that no row has are left out. native: instants are milliseconds since the epoch already. after: what follows it.
    """

    lines: Sequence[int]
    columns: Mapping[str, Sequence[Any]]
    flaws: Sequence[Flaw]
    after: Place
    native: bool = False

    @property
    def rows(self) -> int:
        """How many rows stood there, readable or not."""
        return len(self.lines) + len(self.flaws)

    def column(self, name: str) -> Sequence[Any]:
        """The values of a field; all None when the file has no such column."""
        found = self.columns.get(name)
        return [None] * len(self.lines) if found is None else found


class Intake(Protocol):
    """A file being read."""

    def blocks(self, rows: int) -> Iterator[Block]:
        """The rest of the file in blocks of up to `rows` rows. Raises InvalidInput where it cannot be read on."""
        ...


def check_columns(about: Importable, names: Sequence[str]) -> None:
    """Raise InvalidInput unless the columns (by name, in file order) differ and hold every required one."""
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        raise InvalidInput(
            "duplicate_column", f"The column {twice} stands there twice (names and titles count alike)", field=twice
        )
    missing = [name for name in about.required if name not in names]
    if missing:
        raise InvalidInput("missing_column", f"The file has no column {', '.join(missing)}", field=missing[0])


def unknown_column(about: Importable, label: str) -> InvalidInput:
    """The refusal of a header that means nothing, with those that do."""
    hint = "; cells are separated by commas" if ";" in label or "\t" in label else ""
    return InvalidInput(
        "unknown_column",
        f"There is no column {_shown(label)!r} in {about.name}{hint}; there are {', '.join(about.labels)}",
        field=label,
    )


class _Lines:
    """Lines of a source, with count and offset. The first one may begin with UTF-8's byte order mark."""

    def __init__(self, source: Source, at: Place) -> None:
        self._source = source
        self.offset = at.offset
        self.line = at.line
        """The number of the next line."""
        self.plain = True
        """Whether every line since this was set is ASCII without NUL, so that its rows need no second look."""

    def next(self) -> bytes:
        """The next line with its end; empty at the end of the source."""
        raw = self._source.readline(LINE_BYTES_MAX)
        if len(raw) == LINE_BYTES_MAX and not raw.endswith(b"\n"):
            raise InvalidInput("line_too_long", f"Line {self.line} is longer than {LINE_BYTES_MAX >> 20} MiB")
        if raw and self.offset == 0:
            raw = self._without_mark(raw)
        self.offset += len(raw)
        self.line += 1 if raw else 0
        if not raw.isascii() or b"\0" in raw:
            self.plain = False
        return raw

    def _without_mark(self, raw: bytes) -> bytes:
        other = _OTHER_BOMS.get(raw[:2])
        if other is not None:
            raise InvalidInput("wrong_encoding", f"The file is {other}; save it as UTF-8")
        if not raw.startswith(_BOM):
            return raw
        self.offset += len(_BOM)
        return raw[len(_BOM) :]


class CsvIntake:
    """RFC 4180 with a header, in UTF-8. Lines may end in LF or CRLF; a cell in quotes may hold line ends.

    header: the columns in file order when reading goes on at a later place, else None to read them from the first row.
    lookup: what a header means. Raises InvalidInput for a header that is not one (unknown, repeated, missing columns).
    """

    def __init__(
        self,
        source: Source,
        about: Importable,
        lookup: Lookup | None = None,
        *,
        header: Sequence[str | None] | None = None,
        at: Place = Place(0, 1),
    ) -> None:
        csv.field_size_limit(_CELL_LENGTH_MAX)
        self._lines = _Lines(source, at)
        self._reader = csv.reader(self._texts(), strict=True)
        self._ended = False
        self._about = about
        self._lookup = lookup or about.column
        self.header = tuple(header) if header is not None else self._read_header()
        """The field of each column, None for one that is passed over."""

    def _texts(self) -> Iterator[str]:
        # Bytes that are no UTF-8 become lone surrogates, to be found by row later and not to end the reading here.
        while raw := self._lines.next():
            yield raw.decode("utf-8", "surrogateescape")

    def _read_header(self) -> tuple[str | None, ...]:
        try:
            labels = next((row for row in self._reader if row), None)
        except csv.Error as error:
            raise InvalidInput("invalid_file", f"Line 1 is no CSV header: {error}") from None
        if labels is None:
            raise InvalidInput("empty_file", "The file is empty; its first line must name the columns")
        if not _is_storable("".join(labels)):
            raise InvalidInput("invalid_file", "Line 1 is no CSV header: it must be UTF-8 without NUL characters")
        columns: list[ImportColumn] = []
        for label in labels:
            column = self._lookup(label)
            if column is None:
                raise unknown_column(self._about, label)
            columns.append(column)
        check_columns(self._about, [column.name for column in columns])
        return tuple(column.name if column.used else None for column in columns)

    @property
    def place(self) -> Place:
        """Where the next row begins."""
        return Place(self._lines.offset, self._lines.line)

    def blocks(self, rows: int) -> Iterator[Block]:
        while not self._ended:
            block = self._block(rows)
            if block.rows:
                yield block

    def _block(self, rows: int) -> Block:
        found: list[list[str]] = []
        begins: list[int] = []
        flaws: list[Flaw] = []
        self._lines.plain = True
        while (wanted := rows - len(found) - len(flaws)) > 0:
            line, before = self._lines.line, len(found)
            error = None
            try:
                # What was read before an error stays in the list.
                found.extend(islice(self._reader, wanted))
            except csv.Error as wrong:
                error = wrong
            after = _add_lines(begins, found, before, line, self._lines.line)
            if error is not None:
                flaws.append((after, _csv_words(error)))
            elif len(found) - before < wanted:
                self._ended = True
                break
        return self._columns(found, begins, flaws)

    def _columns(self, found: list[list[str]], lines: list[int], flaws: list[Flaw]) -> Block:
        width = len(self.header)
        if any(len(row) != width for row in found):
            found, lines = _whole(found, lines, flaws, width)
        if not self._lines.plain:
            found, lines = _readable(found, lines, flaws)
        columns = list(zip(*found, strict=True)) or [()] * width
        named = {
            name: [cell or None for cell in column]
            for name, column in zip(self.header, columns, strict=True)
            if name is not None
        }
        flaws.sort()
        return Block(lines, named, flaws, self.place)


def _add_lines(begins: list[int], found: list[list[str]], first: int, line: int, end: int) -> int:
    """Note the line on which each row of found[first:] begins, the first one on `line`; returns the line behind them.

    end: the line behind all that was read.
    """
    count = len(found) - first
    if end - line == count:
        begins.extend(range(line, end))
        return end
    for row in found[first:]:
        begins.append(line)
        line += 1 + sum(cell.count("\n") for cell in row)
    return line


def _whole(
    found: list[list[str]], lines: list[int], flaws: list[Flaw], width: int
) -> tuple[list[list[str]], list[int]]:
    """The rows that have a cell for each column; blank lines are passed over, the others added to the flaws."""
    kept: list[list[str]] = []
    kept_lines: list[int] = []
    for row, line in zip(found, lines, strict=True):
        if len(row) == width:
            kept.append(row)
            kept_lines.append(line)
        elif row:
            flaws.append((line, f"the row has {len(row)} cells, the header has {width}"))
    return kept, kept_lines


def _readable(found: list[list[str]], lines: list[int], flaws: list[Flaw]) -> tuple[list[list[str]], list[int]]:
    """The rows that are UTF-8 and hold no NUL; the others are added to the flaws."""
    if _is_storable("".join(map("".join, found))):
        return found, lines
    kept: list[list[str]] = []
    kept_lines: list[int] = []
    for row, line in zip(found, lines, strict=True):
        if _is_storable("".join(row)):
            kept.append(row)
            kept_lines.append(line)
        else:
            flaws.append((line, _text_words("".join(row))))
    return kept, kept_lines


def _is_storable(text: str) -> bool:
    return "\0" not in text and (text.isascii() or not _has_surrogates(text))


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_surrogates(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _text_words(text: str) -> str:
    return "the row holds a NUL character" if "\0" in text else "the row is not UTF-8"


def _csv_words(error: csv.Error) -> str:
    words = str(error)
    if "new-line character" in words:
        return "the row is not CSV: a carriage return stands alone; lines must end in LF or CRLF"
    if "field limit" in words or "unexpected end" in words:
        return "a quote is opened here and not closed"
    return f"the row is not CSV: {words}"


class JsonLinesIntake:
    """One JSON object on each line, in UTF-8; keys are names or titles. Blank lines are passed over.

    Values of JSON columns stay the text they are. Raises InvalidInput for an empty file only: keys may differ by line.
    """

    def __init__(
        self,
        source: Source,
        about: Importable,
        lookup: Lookup | None = None,
        *,
        at: Place = Place(0, 1),
    ) -> None:
        self._lines = _Lines(source, at)
        self._about = about
        self._lookup = lookup or about.column
        self._columns: dict[str, ImportColumn] = {}
        self._decoder: msgspec.json.Decoder[Any] | None = None

    @property
    def place(self) -> Place:
        """Where the next row begins."""
        return Place(self._lines.offset, self._lines.line)

    def blocks(self, rows: int) -> Iterator[Block]:
        first = True
        while True:
            block = self._block(rows)
            if not block.rows:
                if first:
                    raise InvalidInput("empty_file", "The file is empty")
                return
            first = False
            yield block

    def _block(self, rows: int) -> Block:
        lines: list[int] = []
        found: list[Any] = []
        flaws: list[Flaw] = []
        while len(found) + len(flaws) < rows:
            line = self._lines.line
            raw = self._lines.next()
            if not raw:
                break
            if raw.isspace():
                continue
            try:
                found.append(self._decoded(raw))
                lines.append(line)
            except InvalidInput as error:
                flaws.append((line, error.message))
        named = self._named(found, lines, flaws)
        flaws.sort()
        return Block(lines, named, flaws, Place(self._lines.offset, self._lines.line))

    def _decoded(self, raw: bytes) -> Any:
        """The object on a line as a struct with a field per known key; a new key makes a new kind of struct."""
        if not raw.isascii() and not _is_utf8(raw):
            raise InvalidInput("invalid_row", "the line is not UTF-8")
        try:
            if self._decoder is not None:
                return self._decoder.decode(raw)
        except msgspec.DecodeError:
            pass  # a key not seen before, or no object at all: found out below
        try:
            keys = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        except msgspec.ValidationError:
            raise InvalidInput("invalid_row", "the line is not a JSON object") from None
        except msgspec.DecodeError as error:
            raise InvalidInput("invalid_row", f"the line is not JSON: {error}") from None
        self._learn(keys)
        assert self._decoder is not None
        try:
            return self._decoder.decode(raw)
        except msgspec.DecodeError as error:
            raise InvalidInput("invalid_row", f"the line cannot be read: {error}") from None

    def _learn(self, keys: Mapping[str, object]) -> None:
        known = {key: self._columns.get(key) or self._lookup(key) for key in keys}
        if len(self._columns) + len(known) > _COLUMNS_MAX:
            raise InvalidInput("too_many_columns", f"the lines name more than {_COLUMNS_MAX} columns")
        for key, column in known.items():
            if column is None:
                names = ", ".join(self._about.labels)
                raise InvalidInput("unknown_column", f"there is no column {_shown(key)!r}; there are {names}")
        columns = {key: column for key, column in known.items() if column is not None}
        names = [column.name for column in columns.values()]
        twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
        if twice is not None:
            raise InvalidInput(
                "duplicate_column", f"the column {twice} stands there twice (names and titles count alike)"
            )
        if self._decoder is not None and columns.keys() <= self._columns.keys():
            return
        self._columns |= columns
        fields = [
            (f"f{no}", msgspec.Raw if column.kind is Kind.JSON else Any, None)
            for no, column in enumerate(self._columns.values())
        ]
        labels = {f"f{no}": key for no, key in enumerate(self._columns)}
        shape = msgspec.defstruct("Row", fields, rename=labels, forbid_unknown_fields=True, gc=False)
        self._decoder = msgspec.json.Decoder(shape)

    def _named(self, found: list[Any], lines: list[int], flaws: list[Flaw]) -> dict[str, list[Any]]:
        """The values by field, of those structs that every database can store; the others become flaws."""
        named: dict[str, list[Any]] = {}
        for no, column in enumerate(self._columns.values()):
            if not column.used:
                continue
            attribute = f"f{no}"
            values = [getattr(row, attribute, None) for row in found]
            if column.kind is Kind.JSON:
                values = [_json_text(value) for value in values]
            before = named.get(column.name)
            named[column.name] = values if before is None else _laid(before, values)
        flaws.extend(storable_rows(named, lines))
        return named


def storable_rows(named: Mapping[str, list[Any]], lines: list[int]) -> list[Flaw]:
    """Take out the rows that hold text no database can store, from columns and lines alike; returns them as flaws."""
    bad = sorted({at for values in named.values() for at in _unstorable(values)}, reverse=True)
    flaws = [(lines.pop(at), "the row holds a NUL or a broken character") for at in bad]
    for at in bad:
        for values in named.values():
            values.pop(at)
    return flaws[::-1]


def _laid(first: list[Any], second: list[Any]) -> list[Any]:
    """One list out of two: some lines say the name, others the title."""
    return [b if a is None else a for a, b in zip(first, second, strict=True)]


def _unstorable(values: Sequence[Any]) -> list[int]:
    texts = [value for value in values if isinstance(value, str)]
    if _is_storable("".join(texts)):
        return []
    return [at for at, value in enumerate(values) if isinstance(value, str) and not _is_storable(value)]


def _json_text(value: msgspec.Raw | None) -> str | None:
    """A JSON value as text, null as None. Text within a JSON string is the document itself (CSV's way)."""
    if value is None:
        return None
    text = bytes(value).decode()
    if text == "null":
        return None
    return msgspec.json.decode(text) or None if text.startswith('"') else text


def _shown(label: str) -> str:
    return label if len(label) <= _SHOWN_LENGTH_MAX else f"{label[:_SHOWN_LENGTH_MAX]}…"
