"""What Redis does in one step: nothing comes between its reading and its writing. All are Lua."""

from typing import Final

RENEW: Final = """
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'server', ARGV[1], 'epoch', ARGV[3], 'facts', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
"""Begin a generation, or begin it anew. Facts, text; server, milliseconds to keep, epoch, facts."""

APPEND: Final = """
local held = redis.call('HMGET', KEYS[1], 'server', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[3] then return 0 end
if redis.call('XLEN', KEYS[2]) ~= tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], 'live', ARGV[5], 'final', ARGV[6])
if ARGV[7] == '1' then redis.call('HSET', KEYS[1], 'delivered', '1') end
for i = 8, #ARGV, 3 do
  redis.call('XADD', KEYS[2], '*', 'round', ARGV[i], 'text', ARGV[i + 1], 'thoughts', ARGV[i + 2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
"""
"""Write a batch, unless what is held is not what its server thinks: 0 says so.

Facts, text; server, milliseconds to keep, epoch, entries so far, live, final, delivered, and three
values an entry.
"""

DELIVERED: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], 'delivered', '1') end
return 1
"""
"""Note that an answer was delivered, if it is still there. Facts."""

CLAIM: Final = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and ARGV[1] ~= '*' then return held end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return ARGV[2]
"""
"""Claim a question and return who has it. Question; who may lose it, the handle, milliseconds to keep."""

LONGER: Final = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) end
return 1
"""
"""Note a wait, unless a longer one is noted. Wait; milliseconds."""

RAISE: Final = """
if tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0') < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
"""Raise one server's count; it never falls, so writing it twice or late does no harm.

Counts; server, count, milliseconds to keep.
"""

PLACE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local taken = redis.call('ZCARD', KEYS[1])
local most = tonumber(ARGV[3])
if most > 0 and taken >= most and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return taken end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 0
"""
"""Take a place or keep it, or return how many are taken, where none is left.

Places; generation, milliseconds until it lapses, most that may be taken (0: any number).
"""
