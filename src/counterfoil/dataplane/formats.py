"""The formats a file can have, by the name a request gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from counterfoil.dataplane.csv_encoder import CsvEncoder, csv_encoder
from counterfoil.dataplane.encoder import EncoderFactory
from counterfoil.dataplane.jsonl import JsonLinesEncoder
from counterfoil.dataplane.parquet import ParquetEncoder
from counterfoil.dataplane.xlsx import XlsxEncoder
from counterfoil.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Format:
    """A file format: what makes its encoders, and what is known of it before there is one.

    extension: of the file's name, without the point. joins: see `Encoder.joins`.
    """

    name: str
    factory: EncoderFactory
    media_type: str
    extension: str
    joins: bool


def _format(name: str, factory: EncoderFactory, encoder: type) -> Format:
    return Format(name, factory, encoder.media_type, encoder.extension, encoder.joins)


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        known.name: known
        for known in (
            _format("csv", csv_encoder, CsvEncoder),
            _format("jsonl", JsonLinesEncoder, JsonLinesEncoder),
            _format("parquet", ParquetEncoder, ParquetEncoder),
            _format("xlsx", XlsxEncoder, XlsxEncoder),
        )
    }
)


def format_named(name: str) -> Format:
    """The format of that name, in small letters. Raises InvalidInput with the names there are."""
    known = FORMATS.get(name)
    if known is None:
        raise InvalidInput("unknown_format", f"There is no format '{name}'", value=name, allowed=tuple(FORMATS))
    return known
