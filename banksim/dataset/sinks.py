"""Files that appear whole or not at all: CSV and Parquet.

Everything is written under another name beside its place and renamed when all files are
complete, so an interrupted command leaves nothing behind, and an older data set stays
until the new one is there.

A Parquet file is made from the CSV lines, block by block, with the types of `columns`; so
the two forms cannot differ.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from banksim.dataset.columns import Column, header
from banksim.domain import BanksimError, UsageError
from banksim.domain.money import minor_digits

FORMATS = (".csv", ".parquet")
#: Lines of one row group of a Parquet file.
GROUP_LINES = 100_000
NO_PYARROW = (
    "Parquet files need pyarrow: pip install 'banksim[parquet]', or choose a file name ending in .csv"
)


class Sink(Protocol):
    """Takes lines, each with its newline."""

    def write(self, lines: Sequence[str]) -> None: ...
    def close(self) -> None: ...


class CsvSink:
    """UTF-8, one header line, \\n at the ends of lines."""

    def __init__(self, path: Path, columns: tuple[Column, ...]) -> None:
        self._file = path.open("wb", buffering=1 << 20)
        self._file.write(header(columns).encode())

    def write(self, lines: Sequence[str]) -> None:
        self._file.write("".join(lines).encode())

    def close(self) -> None:
        self._file.close()


class ParquetSink:
    """Money as decimals, times as timestamps in milliseconds, text as strings ("" where there is none).

    Text is written without the guard against formulas: a Parquet file runs none.
    """

    def __init__(self, path: Path, columns: tuple[Column, ...], currency: str) -> None:
        _, csv, parquet = import_pyarrow()
        types = _arrow_types(columns, currency)
        self._convert = csv.ConvertOptions(column_types=types, strings_can_be_null=False)
        self._header = header(columns).encode()
        self._parse = csv.ParseOptions(newlines_in_values=True)
        self._csv = csv
        self._lines: list[str] = []
        self._file = path.open("wb")
        self._writer = parquet.ParquetWriter(self._file, _schema(types))

    def write(self, lines: Sequence[str]) -> None:
        self._lines.extend(lines)
        if len(self._lines) >= GROUP_LINES:
            self._flush()

    def close(self) -> None:
        if self._file.closed:
            return
        try:
            self._flush()
            self._writer.close()
        finally:
            self._file.close()

    def _flush(self) -> None:
        if not self._lines:
            return
        text = io.BytesIO(self._header + "".join(self._lines).encode())
        self._lines.clear()
        table = self._csv.read_csv(text, parse_options=self._parse, convert_options=self._convert)
        self._writer.write_table(_unguarded(table))


class Outputs:
    """The files of one data set, as a context: kept by `commit`, else removed."""

    def __init__(self) -> None:
        self._sinks: list[Sink] = []
        self._places: dict[Path, Path] = {}

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for sink in self._sinks:
                sink.close()
        except Exception:
            if error is None:
                raise
        finally:
            for temporary in self._places:
                temporary.unlink(missing_ok=True)

    def open(self, path: Path, columns: tuple[Column, ...], currency: str) -> Sink:
        """A file for lines of ``columns``; the ending of its name decides on the format."""
        temporary = self.temporary(path)
        sink: Sink
        if path.suffix == ".parquet":
            sink = ParquetSink(temporary, columns, currency)
        else:
            sink = CsvSink(temporary, columns)
        self._sinks.append(sink)
        return sink

    def temporary(self, path: Path) -> Path:
        """The name under which ``path`` is written until `commit`."""
        if path.is_dir():
            raise BanksimError(f"{path} is a folder; give the name of a file")
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            temporary.touch()
        except OSError as error:
            raise BanksimError(f"{path}: cannot be written: {error.strerror}") from error
        self._places[temporary] = path
        return temporary

    def commit(self) -> None:
        """Close all files and put them in their places."""
        for sink in self._sinks:
            sink.close()
        self._sinks.clear()
        for temporary, path in self._places.items():
            temporary.replace(path)
        self._places.clear()


def check_format(path: Path) -> None:
    """Raise UsageError when ``path`` ends in neither .csv nor .parquet, BanksimError without pyarrow."""
    if path.suffix not in FORMATS:
        raise UsageError(f"{path}: expected a file name ending in .csv or .parquet")
    if path.suffix == ".parquet":
        import_pyarrow()


def import_pyarrow() -> tuple[Any, Any, Any]:
    """pyarrow, its CSV reader and its Parquet writer.  Raises BanksimError where it is not installed."""
    try:
        import pyarrow
        from pyarrow import csv, parquet
    except ImportError as error:
        raise BanksimError(NO_PYARROW) from error
    return pyarrow, csv, parquet


def _arrow_types(columns: tuple[Column, ...], currency: str) -> dict[str, Any]:
    arrow, _, _ = import_pyarrow()
    by_type = {
        "text": arrow.string(),
        "money": arrow.decimal128(18, minor_digits(currency)),
        "time": arrow.timestamp("ms", tz="UTC"),
        "date": arrow.date32(),
        "integer": arrow.int64(),
        "real": arrow.float64(),
    }
    return {column.name: by_type[column.type] for column in columns}


def _unguarded(table: Any) -> Any:
    """``table`` without the apostrophes that `csv_text.cell` put before = + - @."""
    from pyarrow import compute, types

    for position, column in enumerate(table.schema):
        if types.is_string(column.type):
            cells = table.column(position)
            if compute.any(compute.starts_with(cells, "'")).as_py():
                plain = compute.replace_substring_regex(cells, "^'([=+@\\t\\r-])", "\\1")
                table = table.set_column(position, column.name, plain)
    return table


def _schema(types: dict[str, Any]) -> Any:
    arrow, _, _ = import_pyarrow()
    return arrow.schema(list(types.items()))
