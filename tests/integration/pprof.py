# SPDX-License-Identifier: MIT
"""Reads profile.proto, by its numbers alone: what other programs would see of it.

    profile = Profile(body)
    profile.check()                          # what Parca and Go demand of it
    profile.by_function()["spin_long"]       # flat, in the last value's unit
"""
import collections
import gzip

from support import check, equal


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value) of each field; bytes for messages, texts and packed numbers."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        if key & 7 == 0:
            value, at = _varint(data, at)
        else:
            equal(key & 7, 2, "wire type")
            size, at = _varint(data, at)
            check(at + size <= len(data), "a field ends beyond the message")
            value, at = data[at:at + size], at + size
        yield key >> 3, value


def packed(data):
    numbers, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        numbers.append(value)
    return numbers


class Message(dict):
    """Numbers and messages by field; what is repeated is a list in `many`."""

    def __init__(self, data, many=()):
        super().__init__()
        self.many = collections.defaultdict(list)
        for number, value in fields(data):
            if number in many:
                self.many[number].append(value)
            else:
                self[number] = value

    def number(self, field):
        return self.get(field, 0)


class Profile:
    def __init__(self, body):
        data = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        top = Message(data, many=(1, 2, 3, 4, 5, 6, 13))
        self.strings = [text.decode() for text in top.many[6]]
        self.types = [self._type(value) for value in top.many[1]]
        self.comments = [self.strings[index] for index in top.many[13]]
        self.time, self.duration, self.period = (top.number(field) for field in (9, 10, 12))
        self.mappings = {m.number(1): m for m in map(Message, top.many[3])}
        self.functions = {f.number(1): f for f in map(Message, top.many[5])}
        self.locations = {}
        for data in top.many[4]:
            location = Message(data, many=(4,))
            self.locations[location.number(1)] = location
        self.samples = []
        for data in top.many[2]:
            sample = Message(data, many=(3,))
            labels = {self.strings[label.number(1)]: self.strings[label.number(2)]
                      for label in map(Message, sample.many[3])}
            self.samples.append((packed(sample.get(1, b"")), packed(sample[2]), labels))

    def _type(self, data):
        message = Message(data)
        return self.strings[message.number(1)], self.strings[message.number(2)]

    def check(self):
        """Parca's and Go's rules."""
        equal(self.strings[0], "", "the first string")
        for name in ("mappings", "functions", "locations"):
            equal(list(getattr(self, name)), list(range(1, len(getattr(self, name)) + 1)), name)
        for location in self.locations.values():
            check(location.number(2) == 0 or location.number(2) in self.mappings, "a mapping")
            for line in location.many[4]:
                check(Message(line).number(1) in self.functions, "a function")
        for ids, values, _ in self.samples:
            equal(len(values), len(self.types), "values of a sample")
            check(ids and all(one in self.locations for one in ids), "locations of a sample")

    def names(self, location):
        """Of the functions at a location, the innermost first; without a name: [its file]."""
        location = self.locations[location]
        found = [self.strings[self.functions[Message(line).number(1)].number(2)]
                 for line in location.many[4]]
        if found:
            return found
        mapping = self.mappings.get(location.number(2), {})
        return [f"[{self.strings[mapping.get(5, 0)].rpartition('/')[2]}]"]

    def places(self, location):
        """file:line of each of them."""
        lines = [Message(line) for line in self.locations[location].many[4]]
        return [f"{self.strings[self.functions[line.number(1)].number(4)]}:{line.number(2)}"
                for line in lines]

    def stack(self, ids):
        return [name for one in ids for name in self.names(one)]

    def total(self, index=-1):
        return sum(values[index] for _, values, _ in self.samples)

    def by_function(self, index=-1):
        sums = collections.Counter()
        for ids, values, _ in self.samples:
            sums[self.names(ids[0])[0]] += values[index]
        return sums

    def by_thread(self, index=-1):
        sums = collections.Counter()
        for _, values, labels in self.samples:
            sums[labels["thread"]] += values[index]
        return sums

    def build_ids(self):
        return {self.strings[m.number(5)]: self.strings[m.number(6)]
                for m in self.mappings.values()}
