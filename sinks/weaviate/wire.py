"""Weaviate's gRPC messages, made and read: no I/O. The messages are those that its Python client carries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]
from weaviate.proto.v1 import base_pb2, batch_delete_pb2, batch_pb2, search_get_pb2

from changes.record import Record
from sinks.weaviate.schema import DELETED, SEEN
from sinks.weaviate.statements import Found, Object

_Filter = base_pb2.Filters
_BEFORE_ALL = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Ready:
    """A record of a batch, its number there, and the object to be sent for it."""

    number: int
    record: Record
    id: str
    message: batch_pb2.BatchObject
    size: int


def insertion(place: str, made: Object) -> batch_pb2.BatchObject:
    """An object for a bulk. Raises `ValueError` for text that no UTF-8 can hold, `TypeError` for what is no value."""
    struct = Struct()
    for name, value in made.properties.items():
        field = struct.fields[name]
        if isinstance(value, str):
            field.string_value = value
        elif isinstance(value, bool):
            field.bool_value = value
        else:
            field.number_value = value
    return batch_pb2.BatchObject(
        uuid=made.id,
        collection=place,
        properties=batch_pb2.BatchObject.Properties(non_ref_properties=struct),
        vectors=[
            base_pb2.Vectors(name=name, vector_bytes=packed, type=base_pb2.Vectors.VECTOR_TYPE_SINGLE_FP32)
            for name, packed in made.vectors.items()
        ],
    )


def bulk(objects: Sequence[batch_pb2.BatchObject]) -> batch_pb2.BatchObjectsRequest:
    return batch_pb2.BatchObjectsRequest(objects=objects)


def by_ids(
    place: str, ids: Sequence[str], properties: Sequence[str] | None, vectors: Sequence[str]
) -> search_get_pb2.SearchRequest:
    """The objects with these ids, those that there are, in no order. ``properties``: ``None`` for all."""
    named = _Filter(
        operator=_Filter.OPERATOR_CONTAINS_ANY,
        target=base_pb2.FilterTarget(property="_id"),
        value_text_array=base_pb2.TextArray(values=ids),
    )
    return _search(place, len(ids), properties, vectors, filters=named)


def page(
    place: str, after: str | None, limit: int, properties: Sequence[str] | None, vectors: Sequence[str]
) -> search_get_pb2.SearchRequest:
    """The next objects in the order of their ids, beyond ``after``, of which there need be none."""
    return _search(place, limit, properties, vectors, after=after or _BEFORE_ALL)


def _search(
    place: str, limit: int, properties: Sequence[str] | None, vectors: Sequence[str], **more: Any
) -> search_get_pb2.SearchRequest:
    return search_get_pb2.SearchRequest(
        collection=place,
        limit=limit,
        properties=search_get_pb2.PropertiesRequest(
            non_ref_properties=properties or (), return_all_nonref_properties=properties is None
        ),
        metadata=search_get_pb2.MetadataRequest(uuid=True, vectors=vectors),
        uses_123_api=True,
        uses_125_api=True,
        uses_127_api=True,
        **more,
    )


def expiry(place: str, before: int) -> batch_delete_pb2.BatchDeleteRequest:
    """Tombstones that were written before this second."""
    deleted = _Filter(
        operator=_Filter.OPERATOR_EQUAL, target=base_pb2.FilterTarget(property=DELETED), value_boolean=True
    )
    seen = _Filter(operator=_Filter.OPERATOR_LESS_THAN, target=base_pb2.FilterTarget(property=SEEN), value_int=before)
    both = _Filter(operator=_Filter.OPERATOR_AND, filters=[deleted, seen])
    return batch_delete_pb2.BatchDeleteRequest(collection=place, filters=both)


def found(reply: search_get_pb2.SearchReply) -> list[Found]:
    return [
        Found(
            result.metadata.id,
            {
                name: getattr(value, kind)
                for name, value in result.properties.non_ref_props.fields.items()
                if (kind := value.WhichOneof("kind")) not in {None, "null_value"}
            },
            {vector.name: vector.vector_bytes for vector in result.metadata.vectors},
        )
        for result in reply.results
    ]


def errors(reply: batch_pb2.BatchObjectsReply) -> dict[int, str]:
    """What the server said of single objects of a bulk, by their number in it."""
    return {error.index: error.error for error in reply.errors}
