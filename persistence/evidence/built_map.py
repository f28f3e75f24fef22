"""The map of heads, built again in memory from the leaves as they come."""

from collections.abc import Sequence

from ...contracts.tree import MapHead
from ..heads import Cell, HeadMap, Kept, bucket_of, kept, key_of


class BuiltMap:
    """`heads` is where each conversation ends by now, `cells` the stored nodes that this gives."""

    def __init__(self) -> None:
        self.heads: dict[str, MapHead] = {}
        self._dirty: set[str] = set()
        self._buckets: dict[int, dict[bytes, Kept]] = {}
        self.cells: dict[tuple[int, int], Cell] = {}
        self._map = HeadMap(self._bucket, lambda depth, place: self.cells.get((depth, place)), self._put)

    def moved(self, head: MapHead) -> None:
        self.heads[head.stream] = head
        self._dirty.add(head.stream)

    def taken(self) -> tuple[bytes, int]:
        for stream in self._dirty:
            one = kept(self.heads[stream])
            self._buckets.setdefault(bucket_of(one[0]), {})[one[0]] = one
        self._map.moved(key_of(stream) for stream in self._dirty)
        self._dirty.clear()
        return self._map.root(), len(self.heads)

    def _bucket(self, place: int) -> Sequence[Kept]:
        return sorted(self._buckets.get(place, {}).values())

    def _put(self, depth: int, place: int, cell: Cell) -> None:
        self.cells[depth, place] = cell
