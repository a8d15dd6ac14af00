"""Where a Parquet file's columns are not those of the contract: by our names, never by the file's."""

from typing import TYPE_CHECKING

from intake.record_checks import MOST_PROBLEMS

if TYPE_CHECKING:
    import pyarrow as pa


def column_differences(found: "pa.Schema", expected: "pa.Schema") -> list[str]:
    """Fields of the contract that the file lacks, has twice, or has with another type, at most MOST_PROBLEMS.

    A nested field is told by its path (`interventions[].turn`). `?` stands for columns that the contract does not know,
    behind the path of what holds them. The order of columns does not matter. Empty where the file fits.
    """
    import pyarrow as pa

    fields = _of_struct(pa.struct(list(found)), pa.struct(list(expected)), "")
    return fields[:MOST_PROBLEMS]


def _of_struct(found: "pa.StructType", expected: "pa.StructType", prefix: str) -> list[str]:
    names = [found.field(i).name for i in range(found.num_fields)]
    known = {expected.field(i).name: expected.field(i).type for i in range(expected.num_fields)}
    differing = [f"{prefix}?"] if any(name not in known for name in names) else []
    for name, kind in known.items():
        if names.count(name) != 1:
            differing.append(prefix + name)
        else:
            differing += _of_type(found.field(names.index(name)).type, kind, prefix + name)
    return differing


def _of_type(found: "pa.DataType", expected: "pa.DataType", path: str) -> list[str]:
    import pyarrow as pa

    if found.equals(expected):
        return []
    if pa.types.is_list(found) and pa.types.is_list(expected):
        return _of_type(found.value_type, expected.value_type, f"{path}[]")
    if pa.types.is_struct(found) and pa.types.is_struct(expected):
        return _of_struct(found, expected, f"{path}.")
    return [path]
