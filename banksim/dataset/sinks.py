"""Files that appear whole or not at all: CSV, JSON lines and Parquet, plain or compressed.

Everything is written under another name beside its place and renamed when all files are
complete, so an interrupted command leaves nothing behind, and an older data set stays
until the new one is there.  Only standard output is written as it comes.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol

from banksim.dataset.files import FORMULA, Column, header
from banksim.model import BanksimError, UsageError
from banksim.model.money import minor_digits

#: Endings of file names, the longer ones first.
ENDINGS = (".csv.gz", ".jsonl.gz", ".csv", ".jsonl", ".parquet")
#: In place of a file: the rows go to standard output, as CSV.
STDOUT = Path("-")
#: Lines of one row group of a Parquet file.
GROUP_LINES = 100_000
NO_PYARROW = (
    "Parquet files need pyarrow: pip install 'banksim[parquet]', or choose a file name ending in .csv"
)


class Sink(Protocol):
    """Takes whole lines, each with its newline, as UTF-8 in parts; ``count`` is how many lines they are."""

    def write(self, parts: Sequence[bytes | memoryview], count: int) -> None: ...
    def close(self) -> None: ...


def open_for(path: Path, ending: str) -> BinaryIO | gzip.GzipFile:
    """A file for bytes; compressed when ``ending`` says so, with the same bytes for the same content."""
    plain = path.open("wb", buffering=1 << 20)
    if not ending.endswith(".gz"):
        return plain
    return _Gzip(plain)


class _Gzip(gzip.GzipFile):
    """Closes the file below it too."""

    def __init__(self, plain: BinaryIO) -> None:
        super().__init__(filename="", mode="wb", compresslevel=6, fileobj=plain, mtime=0)
        self._plain = plain

    def close(self) -> None:
        super().close()
        self._plain.close()


class CsvSink:
    """UTF-8, one header line, \\n at the ends of lines."""

    def __init__(self, file: BinaryIO | gzip.GzipFile, columns: Sequence[Column]) -> None:
        self._file = file
        self._file.write(header(columns).encode())

    def write(self, parts: Sequence[bytes | memoryview], count: int) -> None:  # noqa: ARG002 - as in `Sink`
        self._file.writelines(parts)

    def close(self) -> None:
        self._file.close()


def rows_of(parts: Sequence[bytes | memoryview]) -> Iterator[list[str]]:
    """The cells of some whole CSV lines."""
    return csv.reader(io.StringIO(b"".join(parts).decode(), newline=""))


class JsonLinesSink:
    """One JSON object a line: money, whole and real numbers as numbers, the rest as text, null for none."""

    def __init__(self, file: BinaryIO | gzip.GzipFile, columns: Sequence[Column]) -> None:
        self._file = file
        names = [json.dumps(column.name) for column in columns]
        self._before = [f"{', ' if place else '{'}{name}: " for place, name in enumerate(names)]
        self._is_number = [column.type in ("money", "integer", "real") for column in columns]

    def write(self, parts: Sequence[bytes | memoryview], count: int) -> None:  # noqa: ARG002 - as in `Sink`
        lines: list[str] = []
        for row in rows_of(parts):
            for before, number, text in zip(self._before, self._is_number, row, strict=True):
                lines += (before, "null" if not text else text if number else _json_text(text))
            lines.append("}\n")
        self._file.write("".join(lines).encode())

    def close(self) -> None:
        self._file.close()


def _json_text(text: str) -> str:
    """Text as in a Parquet file: without the guard against formulas."""
    return json.dumps(text[1:] if text[:1] == "'" and text[1:].startswith(FORMULA) else text)


class ParquetSink:
    """Money as decimals, times as timestamps in milliseconds, text as strings ("" where there is none).

    Text is written without the guard against formulas: a Parquet file runs none.
    """

    def __init__(self, path: Path, columns: Sequence[Column], currency: str) -> None:
        _, csv, parquet = import_pyarrow()
        types = _arrow_types(columns, currency)
        self._convert = csv.ConvertOptions(column_types=types, strings_can_be_null=False)
        self._header = header(columns).encode()
        self._parse = csv.ParseOptions(newlines_in_values=True)
        self._csv = csv
        self._parts: list[bytes | memoryview] = []
        self._count = 0
        # What is left of the last lines when whole groups are written: groups do not depend on the parts.
        self._rest: Any = None
        self._file = path.open("wb")
        self._writer = parquet.ParquetWriter(self._file, _schema(types))

    def write(self, parts: Sequence[bytes | memoryview], count: int) -> None:
        self._parts.extend(parts)
        self._count += count
        if self._count >= GROUP_LINES:
            self._flush(whole_groups=True)

    def close(self) -> None:
        if self._file.closed:
            return
        try:
            self._flush()
            self._writer.close()
        finally:
            self._file.close()

    def _flush(self, whole_groups: bool = False) -> None:
        arrow, _, _ = import_pyarrow()
        tables = [] if self._rest is None else [self._rest]
        if self._parts:
            text = io.BytesIO(b"".join([self._header, *self._parts]))
            self._parts.clear()
            table = self._csv.read_csv(text, parse_options=self._parse, convert_options=self._convert)
            tables.append(_unguarded(table))
        if not tables:
            return
        table = arrow.concat_tables(tables)
        count = len(table) // GROUP_LINES * GROUP_LINES if whole_groups else len(table)
        if count:
            self._writer.write_table(table.slice(0, count), row_group_size=GROUP_LINES)
        self._rest = table.slice(count)
        self._count = len(self._rest)


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

    def open(self, path: Path, columns: Sequence[Column], currency: str) -> Sink:
        """A file for lines of ``columns``; the ending of its name decides on the format."""
        sink: Sink
        if path == STDOUT:
            sink = CsvSink(os.fdopen(os.dup(1), "wb"), columns)
            self._sinks.append(sink)
            return sink
        temporary, ending = self.temporary(path), ending_of(path)
        if ending == ".parquet":
            sink = ParquetSink(temporary, columns, currency)
        else:
            kind = CsvSink if ending.startswith(".csv") else JsonLinesSink
            sink = kind(open_for(temporary, ending), columns)
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

    def close(self) -> dict[Path, Path]:
        """Complete all files; returns by place where each one is until `commit`."""
        for sink in self._sinks:
            sink.close()
        self._sinks.clear()
        return {place: temporary for temporary, place in self._places.items()}

    def commit(self) -> None:
        """Close all files and put them in their places."""
        self.close()
        for temporary, path in self._places.items():
            temporary.replace(path)
        self._places.clear()


def ending_of(path: Path) -> str:
    """One of `ENDINGS`.  Raises UsageError for another name, BanksimError for Parquet without pyarrow."""
    ending = next((ending for ending in ENDINGS if path.name.endswith(ending)), "")
    if not ending or path.name == ending:
        raise UsageError(f"{path}: expected a file name ending in {', '.join(ENDINGS[:-1])} or .parquet")
    if ending == ".parquet":
        import_pyarrow()
    return ending


def beside(path: Path, word: str) -> Path:
    """``x.customers.csv`` for ``x.csv``."""
    ending = ending_of(path)
    return path.with_name(f"{path.name.removesuffix(ending)}.{word}{ending}")


def import_pyarrow() -> tuple[Any, Any, Any]:
    """pyarrow, its CSV reader and its Parquet writer.  Raises BanksimError where it is not installed."""
    try:
        import pyarrow
        from pyarrow import csv, parquet
    except ImportError as error:
        raise BanksimError(NO_PYARROW) from error
    return pyarrow, csv, parquet


def _arrow_types(columns: Sequence[Column], currency: str) -> dict[str, Any]:
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
