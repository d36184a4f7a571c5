"""The messages of ``inference.GRPCInferenceService``: KServe's six calls, and Triton's extensions that edged has.

Numbers and names as in kserve/open-inference-protocol (open_inference_grpc.proto) and triton-inference-server/common
(grpc_service.proto, model_config.proto).
"""

from __future__ import annotations

from edged.api.protobuf import Field, Table, table, text, texts

SERVICE = "inference.GRPCInferenceService"

PARAMETER = table(
    Field(1, "bool_param", "bool"),
    Field(2, "int64_param", "int64"),
    text(3, "string_param"),
    Field(4, "double_param", "double"),
    Field(5, "uint64_param", "uint64"),
)
CONTENTS = table(
    Field(1, "bool_contents", "bool", repeated=True),
    Field(2, "int_contents", "int32", repeated=True),
    Field(3, "int64_contents", "int64", repeated=True),
    Field(4, "uint_contents", "uint32", repeated=True),
    Field(5, "uint64_contents", "uint64", repeated=True),
    Field(6, "fp32_contents", "float", repeated=True),
    Field(7, "fp64_contents", "double", repeated=True),
    Field(8, "bytes_contents", "bytes", repeated=True),
)
_PARAMETERS = Field(4, "parameters", "map", table=PARAMETER)
_TENSOR = table(
    *texts("name", "datatype"),
    Field(3, "shape", "int64", repeated=True),
    _PARAMETERS,
    Field(5, "contents", "message", table=CONTENTS),
)
_ASKED = table(text(1, "name"), Field(2, "parameters", "map", table=PARAMETER))
INFER_REQUEST = table(
    *texts("model_name", "model_version", "id"),
    _PARAMETERS,
    Field(5, "inputs", "message", repeated=True, table=_TENSOR),
    Field(6, "outputs", "message", repeated=True, table=_ASKED),
    Field(7, "raw_input_contents", "bytes", repeated=True),
)
INFER_RESPONSE = table(
    *texts("model_name", "model_version", "id"),
    _PARAMETERS,
    Field(5, "outputs", "message", repeated=True, table=_TENSOR),
    Field(6, "raw_output_contents", "bytes", repeated=True),
)
STREAM_RESPONSE = table(text(1, "error_message"), Field(2, "infer_response", "message", table=INFER_RESPONSE))

EMPTY = table()
NAMED = table(*texts("name", "version"))
NAME = table(text(1, "name"))
LIVE = table(Field(1, "live", "bool"))
READY = table(Field(1, "ready", "bool"))
SERVER = table(*texts("name", "version"), text(3, "extensions", repeated=True))
_DESCRIBED = table(*texts("name", "datatype"), Field(3, "shape", "int64", repeated=True))
MODEL = table(
    text(1, "name"),
    text(2, "versions", repeated=True),
    text(3, "platform"),
    Field(4, "inputs", "message", repeated=True, table=_DESCRIBED),
    Field(5, "outputs", "message", repeated=True, table=_DESCRIBED),
)

_DATATYPES = ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64")
_TYPES = {f"TYPE_{name}": number for number, name in enumerate(_DATATYPES, 1)}
_KINDS = {"KIND_AUTO": 0, "KIND_GPU": 1, "KIND_CPU": 2, "KIND_MODEL": 3}
_LATEST = table(Field(1, "num_versions", "uint32"))
CONFIG = table(
    *texts("name", "platform"),
    Field(3, "version_policy", "message", table=table(Field(1, "latest", "message", table=_LATEST))),
    Field(4, "max_batch_size", "int32"),
    Field(
        5,
        "input",
        "message",
        repeated=True,
        table=table(
            text(1, "name"), Field(2, "data_type", "enum", names=_TYPES), Field(4, "dims", "int64", repeated=True)
        ),
    ),
    Field(
        6,
        "output",
        "message",
        repeated=True,
        table=table(
            text(1, "name"), Field(2, "data_type", "enum", names=_TYPES), Field(3, "dims", "int64", repeated=True)
        ),
    ),
    Field(
        7,
        "instance_group",
        "message",
        repeated=True,
        table=table(text(1, "name"), Field(2, "count", "int32"), Field(4, "kind", "enum", names=_KINDS)),
    ),
    Field(13, "sequence_batching", "message", table=table(Field(1, "max_sequence_idle_microseconds", "uint64"))),
    Field(14, "parameters", "map", table=table(text(1, "string_value"))),
    text(17, "backend"),
)
CONFIG_RESPONSE = table(Field(1, "config", "message", table=CONFIG))

_DURATION = table(Field(1, "count", "uint64"), Field(2, "ns", "uint64"))
_STAGES = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")
_TIMES = table(*(Field(number, name, "message", table=_DURATION) for number, name in enumerate(_STAGES, 1)))
_BATCH = table(
    Field(1, "batch_size", "uint64"),
    *(Field(number, name, "message", table=_DURATION) for number, name in enumerate(_STAGES[3:6], 2)),
)
_MEMORY = table(text(1, "type"), Field(2, "id", "int64"), Field(3, "byte_size", "uint64"))
_STATISTICS = table(
    *texts("name", "version"),
    Field(3, "last_inference", "uint64"),
    Field(4, "inference_count", "uint64"),
    Field(5, "execution_count", "uint64"),
    Field(6, "inference_stats", "message", table=_TIMES),
    Field(7, "batch_stats", "message", repeated=True, table=_BATCH),
    Field(8, "memory_usage", "message", repeated=True, table=_MEMORY),
)
STATISTICS = table(Field(1, "model_stats", "message", repeated=True, table=_STATISTICS))

INDEX_REQUEST = table(text(1, "repository_name"), Field(2, "ready", "bool"))
INDEX = table(Field(1, "models", "message", repeated=True, table=table(*texts("name", "version", "state", "reason"))))
_OPTION = table(
    Field(1, "bool_param", "bool"),
    Field(2, "int64_param", "int64"),
    text(3, "string_param"),
    Field(4, "bytes_param", "bytes"),
)
LOAD = table(*texts("repository_name", "model_name"), Field(3, "parameters", "map", table=_OPTION))

REGION = table(*texts("name", "key"), Field(3, "offset", "uint64"), Field(4, "byte_size", "uint64"))
REGIONS = table(Field(1, "regions", "map", table=REGION))

_VALUES = table(text(1, "value", repeated=True))
TRACE_REQUEST = table(Field(1, "settings", "map", table=_VALUES), text(2, "model_name"))
TRACE = table(Field(1, "settings", "map", table=_VALUES))
_SETTING = table(Field(1, "bool_param", "bool"), Field(2, "uint32_param", "uint32"), text(3, "string_param"))
LOG: Table = table(Field(1, "settings", "map", table=_SETTING))
