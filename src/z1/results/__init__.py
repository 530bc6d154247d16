"""Results: the open format of evaluations, tables of them, and logs of other tools.

    schemas.py      the JSON Schemas of attempts.jsonl, problems.jsonl, curve.json and stage.json
    tables.py       the attempts of a run as a table: pandas, CSV, Parquet
    log_reply.py    one reply of another tool's log
    importer.py     logs as attempts, and the folder that they are written to
    formats.py      the formats that are recognised: lm-eval, OpenAI batch, LiveCodeBench, rows with named columns
    inspect_log.py  logs of inspect_ai

`docs/format.md` documents the files field by field.
"""

from z1.results.importer import import_log
from z1.results.log_reply import ImportSettings
from z1.results.schemas import NAMES, schema
from z1.results.tables import frame, read_table, write_table

__all__ = ["NAMES", "ImportSettings", "frame", "import_log", "read_table", "schema", "write_table"]
