"""The package of an XLSX workbook: a zip of XML parts, written part by part to a file that can seek.

Only what Office Open XML (ECMA-376) demands is in it: no document properties, so no creation date, and every member
carries the first instant a zip can name. The same rows therefore give the same bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

# One fixed level: what is gained in size beyond it costs many times the time, and the bytes must not vary.
_ZLIB_LEVEL = 1
_DOS_TIME, _DOS_DATE = 0, (1 << 5) | 1  # 1980-01-01T00:00:00
_DEFLATED = 8
_UTF8_NAMES = 1 << 11
_VERSION = 20
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_SIZES = struct.Struct("<III")
_SIZES_AT = 14

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SHEET_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"

STYLE_PLAIN, STYLE_HEADER, STYLE_DATE, STYLE_INSTANT, STYLE_SCALE = range(5)
"""Places in the workbook's list of cell styles; scale n (1 to 38) is STYLE_SCALE + n - 1."""
_SCALE_MAX = 38
_FIRST_FORMAT = 164  # numbers below are Excel's own


@dataclass(frozen=True, slots=True)
class _Member:
    name: bytes
    crc: int
    packed_bytes: int
    size_bytes: int
    offset: int


class ZipPackage:
    """A zip file of deflated members, written one after the other. Members and file stay below 4 GiB each."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._members: list[_Member] = []
        self._open: tuple[bytes, int] | None = None

    def start(self, name: str) -> None:
        """Begin a member, after the one before has been finished."""
        assert self._open is None, "one member at a time"
        encoded = name.encode()
        self._open = (encoded, self._file.tell())
        self._file.write(
            _LOCAL.pack(b"PK\x03\x04", _VERSION, _UTF8_NAMES, _DEFLATED, _DOS_TIME, _DOS_DATE, 0, 0, 0, len(encoded), 0)
        )
        self._file.write(encoded)
        self._deflate = zlib.compressobj(_ZLIB_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._crc = self._size_bytes = self._packed_bytes = 0

    def write(self, data: bytes) -> None:
        """Append to the member begun last."""
        self._crc = zlib.crc32(data, self._crc)
        self._size_bytes += len(data)
        self._packed_bytes += self._file.write(self._deflate.compress(data))

    def finish(self) -> None:
        """End the member: its sizes go into the header before it."""
        assert self._open is not None, "no member has been started"
        name, offset = self._open
        self._packed_bytes += self._file.write(self._deflate.flush())
        end = self._file.tell()
        self._file.seek(offset + _SIZES_AT)
        self._file.write(_SIZES.pack(self._crc, self._packed_bytes, self._size_bytes))
        self._file.seek(end)
        self._members.append(_Member(name, self._crc, self._packed_bytes, self._size_bytes, offset))
        self._open = None

    def add(self, name: str, text: str) -> None:
        """A whole member at once."""
        self.start(name)
        self.write(text.encode())
        self.finish()

    def close(self) -> int:
        """Write the zip's directory; returns the file's size in bytes. The file stays open."""
        start = self._file.tell()
        for m in self._members:
            sizes = (m.crc, m.packed_bytes, m.size_bytes, len(m.name), 0, 0, 0, 0, 0, m.offset)
            fixed = (b"PK\x01\x02", _VERSION, _VERSION, _UTF8_NAMES, _DEFLATED, _DOS_TIME, _DOS_DATE)
            self._file.write(_CENTRAL.pack(*fixed, *sizes) + m.name)
        size, count = self._file.tell() - start, len(self._members)
        self._file.write(_END.pack(b"PK\x05\x06", 0, 0, count, count, size, start, 0))
        return self._file.tell()


def sheet_path(number: int) -> str:
    """Where sheet `number` (1, 2, …) lies in the package."""
    return f"xl/worksheets/sheet{number}.xml"


def sheet_head(widths: Sequence[int]) -> str:
    """What stands before a sheet's rows: the header row frozen, and each column's width in characters."""
    columns = "".join(
        f'<col min="{i}" max="{i}" width="{width}" customWidth="1"/>' for i, width in enumerate(widths, 1)
    )
    return (
        f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" '
        f'topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
        f"<cols>{columns}</cols><sheetData>"
    )


SHEET_TAIL = "</sheetData></worksheet>"


def add_workbook(package: ZipPackage, sheets: int) -> None:
    """The parts that make a number of sheets a workbook; the sheets themselves are there already."""
    numbers = range(1, sheets + 1)
    overrides = "".join(
        f'<Override PartName="/{path}" ContentType="{_SHEET_TYPES}.{kind}+xml"/>'
        for path, kind in [
            ("xl/workbook.xml", "sheet.main"),
            ("xl/styles.xml", "styles"),
            *((sheet_path(n), "worksheet") for n in numbers),
        ]
    )
    package.add(
        "[Content_Types].xml",
        f'{_XML}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
        f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>',
    )
    package.add("_rels/.rels", _relationships([("officeDocument", "xl/workbook.xml")]))
    entries = "".join(f'<sheet name="Sheet{n}" sheetId="{n}" r:id="rId{n}"/>' for n in numbers)
    package.add(
        "xl/workbook.xml",
        f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><bookViews><workbookView/></bookViews>'
        f"<sheets>{entries}</sheets></workbook>",
    )
    targets = [("worksheet", f"worksheets/sheet{n}.xml") for n in numbers]
    package.add("xl/_rels/workbook.xml.rels", _relationships([*targets, ("styles", "styles.xml")]))
    package.add("xl/styles.xml", _styles())


def _relationships(targets: Sequence[tuple[str, str]]) -> str:
    entries = "".join(
        f'<Relationship Id="rId{n}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(targets, 1)
    )
    return f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">{entries}</Relationships>'


def _styles() -> str:
    """The styles in the order of the STYLE_ constants."""
    codes = ["yyyy\\-mm\\-dd", "yyyy\\-mm\\-dd\\ hh:mm:ss.000", *("0." + "0" * n for n in range(1, _SCALE_MAX + 1))]
    formats = "".join(f'<numFmt numFmtId="{n}" formatCode="{code}"/>' for n, code in enumerate(codes, _FIRST_FORMAT))
    font = '<sz val="11"/><name val="Calibri"/><family val="2"/>'
    own = "".join(
        f'<xf numFmtId="{n}" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
        for n in range(_FIRST_FORMAT, _FIRST_FORMAT + len(codes))
    )
    return (
        f'{_XML}<styleSheet xmlns="{_MAIN}"><numFmts count="{len(codes)}">{formats}</numFmts>'
        f'<fonts count="2"><font>{font}</font><font><b/>{font}</font></fonts>'
        f'<fills count="2"><fill><patternFill patternType="none"/></fill>'
        f'<fill><patternFill patternType="gray125"/></fill></fills>'
        f'<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
        f'<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
        f'<cellXfs count="{len(codes) + 2}"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
        f'<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>{own}</cellXfs>'
        f'<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
    )
