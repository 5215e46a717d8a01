"""Reads one table as .arrow and .parquet with other people's tools, as the files
are, and prints what they see as JSON. Used by outside_test.go.

    python read_outside.py table.arrow table.parquet
"""
import json
import math
import sys

import pandas
import pyarrow
import pyarrow.feather
import pyarrow.parquet

try:
    import duckdb
except ImportError:
    duckdb = None


def text(metadata):
    return {k.decode(): v.decode() for k, v in (metadata or {}).items() if k != b"ARROW:schema"}


def plain(value):
    """NaN and the other nulls are None; pandas' own number types are Python's."""
    if value is None or value is pandas.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    if hasattr(value, "item"):
        value = value.item()
    return "inf" if isinstance(value, float) and math.isinf(value) else value


def arrow(table):
    table.validate(full=True)
    return {
        "metadata": text(table.schema.metadata),
        "fields": {f.name: [str(f.type), f.nullable, text(f.metadata)] for f in table.schema},
        "columns": {name: [plain(v) for v in table[name].to_pylist()] for name in table.column_names},
    }


def frame(df):
    return {name: [plain(v) for v in df[name].tolist()] for name in df.columns}


def duck(sql):
    if duckdb is None:
        return None
    rel = duckdb.sql(sql)
    return {"types": {n: str(t) for n, t in zip(rel.columns, rel.types)},
            "columns": {n: [plain(r[i]) for r in rel.fetchall()] for i, n in enumerate(rel.columns)}}


ipc, parquet = sys.argv[1:]
from_ipc = pyarrow.feather.read_table(ipc)
print(json.dumps({
    "versions": {"pyarrow": pyarrow.__version__, "pandas": pandas.__version__, "duckdb": duckdb and duckdb.__version__},
    "arrow": arrow(from_ipc),
    "parquet": arrow(pyarrow.parquet.read_table(parquet)),
    "pandas arrow": frame(pandas.read_feather(ipc)),
    "pandas parquet": frame(pandas.read_parquet(parquet)),
    "dtypes": {n: str(t) for n, t in pandas.read_parquet(parquet).dtypes.items()},
    "duckdb parquet": duck(f"select * from '{parquet}'"),
    "duckdb arrow": duck("select * from from_ipc"),
}))
