"""The scripts that Redis runs, each as one atomic step, and the names of the keys that they use.

Every script takes the same five keys, in the order of ``RelayKeys``. Each answers with a list that begins with one of
the words below. No script uses a client's clock.
"""

from __future__ import annotations

from hashlib import sha1, sha256
from typing import NamedTuple

__all__ = [
    "ACQUIRE",
    "APPEND",
    "DONE",
    "FENCED",
    "FOREIGN",
    "PROBE",
    "RELEASE",
    "RENEW",
    "SHORT",
    "STANDBY",
    "VIEW",
    "RelayKeys",
    "Script",
]

DONE = b"DONE"
"""It is done."""
FENCED = b"FENCED"
"""Another leader has the lease, or there is none; nothing was done."""
STANDBY = b"STANDBY"
"""The whole relay stands by; nothing was done."""
FOREIGN = b"FOREIGN"
"""The top of the log is not the leader's, so its next id would be refused; nothing was done."""
SHORT = b"SHORT"
"""The lease is held, but the log lacks entries that it has acknowledged; nothing was done."""


class RelayKeys(NamedTuple):
    """The keys of one relay, all in one hash slot.

    Attributes:
        lease: the leader, ``<worker>:<epoch>``.
        epoch: the latest epoch.
        log: the log, a stream.
        state: ``live`` while the session is live, as the latest entry of the relay itself says.
        standby: exists while the whole relay stands by.
    """

    lease: str
    epoch: str
    log: str
    state: str
    standby: str

    @classmethod
    def of(cls, prefix: str, client_id: str) -> RelayKeys:
        """Return the keys of a client. They hold a digest of its id, not the id."""
        digest = sha256(client_id.encode()).hexdigest()[:16]
        return cls(*(f"{{{prefix}:{digest}}}:{name}" for name in cls._fields))


class Script:
    """A script and the digest by which a server knows it.

    Args:
        text: the script.

    Attributes:
        text: the script.
        digest: its digest.
    """

    __slots__ = ("digest", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


_TOP = """
local function top_of(log, last, first)
  local found = redis.call('XREVRANGE', log, last, first, 'COUNT', 1)
  if not found[1] then return -1, -1, '' end
  local epoch, sequence = string.match(found[1][1], '^(%d+)-(%d+)$')
  return tonumber(epoch), tonumber(sequence), found[1][1]
end
"""

# Arguments: worker, ttl, keep, entries, the epoch in which it led before or '', its last acknowledged sequence, whether
# its session was live there (1 or 0), the beginning of the payload.
# The worker may replace a lease of its own: an answer that was lost may have granted one. A leader that continues
# learns which of its entries the log has, so that it writes no entry again under another id.
ACQUIRE = Script(
    _TOP
    + """
local owner = redis.call('GET', KEYS[1])
if owner and string.match(owner, '^(.*):%d+$') ~= ARGV[1] then
  return {'FENCED', owner, redis.call('PTTL', KEYS[1])}
end
local rest = redis.call('PTTL', KEYS[5])
if rest > 0 and not owner then return {'STANDBY', '', rest} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local top_epoch, _, top = top_of(KEYS[3], '+', '-')
local stored = tonumber(redis.call('GET', KEYS[2]) or '0') or 0
local epoch = math.max(now, top_epoch + 1, stored + 1)
if epoch >= 9007199254740991 then return {'FOREIGN', top, 0} end
local after, last, is_live = '', tonumber(ARGV[6]), ARGV[7] == '1'
if ARGV[5] ~= '' then
  local _, found = top_of(KEYS[3], ARGV[5] .. '-18446744073709551615', ARGV[5] .. '-0')
  if found > last then last, is_live = found, redis.call('GET', KEYS[4]) == 'live' end
  after = ',"after":"' .. ARGV[5] .. '-' .. string.format('%.0f', last) .. '"'
end
local text = string.format('%.0f', epoch)
local value = string.format('%.0f', now) .. ' ' .. ARGV[8] .. after .. (is_live and ',"live":true}' or '}')
local added = redis.pcall('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], text .. '-0', 'epoch', value)
if type(added) == 'table' and added.err then
  if string.find(added.err, 'equal or smaller') then return {'FOREIGN', top, 0} end
  return added
end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. text, 'PX', ARGV[2])
redis.call('SET', KEYS[2], text, 'PX', ARGV[3])
redis.call('SET', KEYS[4], is_live and 'live' or 'epoch', 'PX', ARGV[3])
redis.call('PEXPIRE', KEYS[3], ARGV[3])
return {'DONE', text, last}
"""
)

# Arguments: owner, ttl, keep, state, epoch, acknowledged sequence, the oldest id to keep or ''.
# A lease is not renewed while the log lacks entries: a renewal proves to followers that it lacks none.
RENEW = Script(
    _TOP
    + """
local owner = redis.call('GET', KEYS[1])
if owner ~= ARGV[1] then return {'FENCED', owner or '', 0} end
local epoch, sequence, top = top_of(KEYS[3], '+', '-')
if epoch > tonumber(ARGV[5]) then return {'FOREIGN', top, 0} end
if epoch < tonumber(ARGV[5]) or sequence < tonumber(ARGV[6]) then return {'SHORT', top, 0} end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[3])
redis.call('SET', KEYS[4], ARGV[4], 'PX', ARGV[3])
redis.call('PEXPIRE', KEYS[3], ARGV[3])
if ARGV[7] ~= '' then redis.call('XTRIM', KEYS[3], 'MINID', '~', ARGV[7]) end
return {'DONE', '', 0}
"""
)

# Arguments: owner, keep, entries, epoch, first sequence, state or '', and a kind and a value for each entry.
# Entries that the log has already were appended by an earlier call with a lost answer.
APPEND = Script(
    _TOP
    + """
local owner = redis.call('GET', KEYS[1])
if owner ~= ARGV[1] then return {'FENCED', owner or '', 0} end
local epoch, sequence, top = top_of(KEYS[3], '+', '-')
local mine, first, count = tonumber(ARGV[4]), tonumber(ARGV[5]), (#ARGV - 6) / 2
local done = 0
if epoch > mine then return {'FOREIGN', top, 0} end
if epoch == mine and sequence >= first then done = sequence - first + 1 end
if done > count then return {'FOREIGN', top, 0} end
local log, entries, prefix = KEYS[3], ARGV[3], ARGV[4] .. '-'
for index = done, count - 1 do
  local id = prefix .. string.format('%.0f', first + index)
  redis.call('XADD', log, 'MAXLEN', '~', entries, id, ARGV[7 + 2 * index], ARGV[8 + 2 * index])
end
redis.call('PEXPIRE', log, ARGV[2])
if ARGV[6] ~= '' then redis.call('SET', KEYS[4], ARGV[6], 'PX', ARGV[2]) end
return {'DONE', '', done}
"""
)

# Arguments: owner, keep, entries, id, value, standby or 0.
RELEASE = Script(
    """
local owner = redis.call('GET', KEYS[1])
if owner ~= ARGV[1] then return {'FENCED', owner or '', 0} end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[4], 'left', 'PX', ARGV[2])
if ARGV[6] ~= '0' then redis.call('SET', KEYS[5], '1', 'PX', ARGV[6]) end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], ARGV[4], 'left', ARGV[5])
return {'DONE', '', 0}
"""
)

# No arguments. Returns the top of the log, the state, the lease with its milliseconds, those of the standby, the time,
# the number of entries and the time of the last one.
VIEW = Script(
    """
local found = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return {
  'DONE', found[1] and found[1][1] or '', redis.call('GET', KEYS[4]) or '', redis.call('GET', KEYS[1]) or '',
  redis.call('PTTL', KEYS[1]), redis.call('PTTL', KEYS[5]), now, redis.call('XLEN', KEYS[3]),
  found[1] and tonumber(string.match(found[1][2][2], '^(%d+) ')) or 0,
}
"""
)

# Arguments: 1 for a leader, 0 for a reader. Uses each command once, on a key of its own that ends within a second, so
# that a missing permission is found before a session is opened. Returns the type of each key and the name and error of
# the first command that failed.
PROBE = Script(
    """
local kinds, failed, problem = {}, '', ''
for index = 1, 5 do
  local answer = redis.pcall('TYPE', KEYS[index])
  kinds[index] = answer.ok or 'none'
  if answer.err then failed, problem = 'TYPE', answer.err end
end
local text, log = KEYS[6], KEYS[7]
local reads = {{'GET', text}, {'PTTL', text}, {'XREVRANGE', log, '+', '-', 'COUNT', 1}, {'XLEN', log}, {'TIME'}}
local writes = {
  {'SET', text, '1', 'PX', 1000}, {'PEXPIRE', text, 1000}, {'XADD', log, 'MAXLEN', '~', 1, '1-1', 'mark', '1'},
  {'XTRIM', log, 'MINID', '~', '1-1'}, {'PEXPIRE', log, 1000}, {'DEL', text, log},
}
for _, commands in ipairs({reads, ARGV[1] == '1' and writes or {}}) do
  for _, command in ipairs(commands) do
    local answer = redis.pcall(unpack(command))
    if failed == '' and type(answer) == 'table' and answer.err then failed, problem = command[1], answer.err end
  end
end
return {'DONE', failed, problem, kinds[1], kinds[2], kinds[3], kinds[4], kinds[5]}
"""
)
